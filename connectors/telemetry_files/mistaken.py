"""What a text file without a column of times looks like, and how to write it so that it can be read."""

from __future__ import annotations

import re

from connectors.telemetry_files.logs import SMI

_QUERY = "`nvidia-smi --query-gpu=timestamp,uuid,name,utilization.gpu,power.draw --format=csv -l 60`"

_REPORTS = (
    (
        r"=+NVSMI LOG|<\?xml|<nvidia_smi_log|\+-{20,}|.*\|\s*NVIDIA-SMI \d",
        f"it is a report of nvidia-smi and no log. Write {_QUERY}",
    ),
    (
        r"NVIDIA-SMI has failed|Failed to initialize NVML|No devices were found",
        "nvidia-smi found no card, and wrote why: there is no sample. Remove it",
    ),
)
"""Start of one of the first lines -> what the file is."""

_FIRST = (
    (
        r"\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}",
        f"it has rows of nvidia-smi and no header line. Write it without `noheader`, as {_QUERY} does, "
        "or put the fields of --query-gpu above the rows, in their order",
    ),
    (
        r"GPU(-I|-CI)?\s+\d",
        "it has rows of dcgmi and no line that names their columns (`#Entity POWER ...`). "
        "Keep all lines that `dcgmi dmon -e 155,156,203 -d 60000` writes",
    ),
    (
        r"\d{8}\s+\d{2}:\d{2}:\d{2}\s",
        "it has rows of nvidia-smi and no line that names their columns. Keep the lines with # that `nvidia-smi dmon -o DT` writes",
    ),
    (r"\s*[{\[]\s*[\"{\[]", "it is JSON. Write CSV or Parquet"),
    (
        r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}|\d{10,19}(\.\d+)?,",
        "its first line is a row, not a header. Put the names of the columns above it (`ts,node,gpu,...`)",
    ),
    (r"[^,]*;[^,]*$", "its columns are separated by ';'. Separate them by commas"),
    (r"[^,]*\t[^,]*$", "its columns are separated by tabs. Separate them by commas"),
)
"""Start of the first line -> what the file is."""

_LINES = 10


def hint(head: str) -> str | None:
    """What a text is that has no column of times and is no log that is read, and what to do; None where nobody can tell.

    Args:
        head: How it begins.
    """
    lines = [line.strip() for line in head.splitlines() if line.strip()][:_LINES]
    for kinds, said in ((_REPORTS, lines), (_FIRST, lines[:1])):
        for pattern, text in kinds:
            if any(re.match(pattern, line) for line in said):
                return text
    fields = {re.sub(r"\s*\[.*\]$", "", f.strip()).lower() for f in ",".join(lines[:1]).split(",")}
    if fields & (SMI.keys() - {"name", "index"}) and any("." in f for f in fields & SMI.keys()):
        return f"its rows have no time. Write {_QUERY}"
    return None
