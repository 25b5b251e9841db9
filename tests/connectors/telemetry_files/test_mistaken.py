"""Files that are no samples say what they look like, and how to write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.telemetry_files.samples import GPU, load, table

ROW = "2026/09/01 10:00:00.123, GPU-1, 55 %, 300.10 W\n"


def put(folder: Path, text: str) -> None:
    file = folder / "in" / "gpu" / "n1-20260901T100000Z.log"
    file.parent.mkdir(parents=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW, "rows of nvidia-smi and no header line.*without `noheader`.*--format=csv -l 60"),
        ("GPU 0     300.1   55\n", "rows of dcgmi and no line that names their columns"),
        ("GPU-I 0/0 300.1   55\n", "rows of dcgmi"),
        ("20260901 10:00:00    0   300    55\n", "no line that names their columns.*`nvidia-smi dmon -o DT`"),
        (
            "\n==============NVSMI LOG==============\n\nTimestamp : Tue Sep  1 10:00:00 2026\nGPU 00000000:07:00.0\n",
            "a report of nvidia-smi",
        ),
        (
            "Tue Sep  1 10:00:00 2026\n+---------------------------+\n| NVIDIA-SMI 550.54.15  |\n",
            "a report of nvidia-smi",
        ),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", "found no card"),
        ("index, uuid, power.draw [W]\n0, GPU-1, 300.1 W\n", "rows have no time.*timestamp,uuid"),
        ("2026-09-01T10:00:00Z,n1,GPU-1,300\n", "first line is a row, not a header"),
        ("1788256800,n1,GPU-1,300\n", "first line is a row, not a header"),
        ("ts;node;gpu;power_w\n2026-09-01T10:00:00Z;n1;GPU-1;300\n", "separated by ';'"),
        ("ts\tnode\tgpu\tpower_w\n2026-09-01T10:00:00Z\tn1\tGPU-1\t300\n", "separated by tabs"),
        ('{"ts":"2026-09-01T10:00:00Z","gpu":"GPU-1"}\n', "it is JSON"),
        ("node,gpu,power_w\nn1,GPU-1,300\n", "column 'ts' is missing"),
        ("time,gpu\n2026-09-01T10:00:00Z,GPU-1\n", "column 'ts' is missing"),
    ],
)
def test_what_is_no_log_is_called_what_it_is(tmp_path: Path, text: str, told: str) -> None:
    put(tmp_path, text)
    with pytest.raises(SourceError, match=told):
        load(tmp_path)


def test_a_message_before_the_header_is_counted_and_passed_over(tmp_path: Path) -> None:
    """Two rows of 300.1 W a minute apart: a minute, 5.0017 Wh."""
    head = "timestamp, uuid, utilization.gpu [%], power.draw [W]\n"
    put(tmp_path, "Warning: persistence mode is off.\n" + head + ROW + ROW.replace("10:00", "10:01"))
    (item,) = load(tmp_path)
    assert table([item], GPU)["energy_kwh"].to_list() == pytest.approx([0.3001 / 60])
    assert item.issues.select("rule", "rows").rows() == [("ts_unreadable", 1)]
