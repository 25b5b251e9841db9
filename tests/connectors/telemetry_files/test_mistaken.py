"""Files that are no samples say what they look like, and how to write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.telemetry_files.samples import GPU, load, minutes, table, write

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


@pytest.mark.parametrize("name", ["gpu/a.csv", "gpu/a.parquet"])
@pytest.mark.parametrize("column", ["utilisation", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"])
def test_percent_where_parts_of_1_are_meant_is_refused(tmp_path: Path, name: str, column: str) -> None:
    """An hour at 0, 1, 40 or 100 %, in turns: 1 would be all of the card. Called percent it is 21.15 minutes."""
    percent = [(0, 1, 40, 100)[n % 4] for n in range(61)]
    moments = minutes("2026-09-01 10:00", 61)
    rows = [
        {"ts": at, "node": "n1", "gpu": "g", column: float(value)}
        for at, value in zip(moments, percent, strict=True)
    ]
    write(tmp_path, name, rows)
    with pytest.raises(SourceError, match=f"'{column}' is to be from 0 to 1; 30 of 45 values.*'percent'"):
        load(tmp_path)
    write(tmp_path, name, [{"percent" if k == column else k: v for k, v in row.items()} for row in rows])
    assert table(load(tmp_path), GPU)["used_hours"].sum() == pytest.approx(0.3525)


def test_a_glitch_of_utilisation_is_dropped_and_counted(tmp_path: Path) -> None:
    """One of 241 values is 50: four hours at 0.5 all the same."""
    rows = [
        {"ts": at, "node": "n1", "gpu": "g", "utilisation": 50.0 if n == 9 else 0.5}
        for n, at in enumerate(minutes("2026-09-01 10:00", 241))
    ]
    write(tmp_path, "gpu/a.csv", rows)
    (item,) = load(tmp_path)
    assert table([item], GPU)["used_hours"].sum() == pytest.approx(2)
    assert item.issues.filter(rule="value_dropped").select("column_name", "rows").rows() == [
        ("utilisation", 1)
    ]
