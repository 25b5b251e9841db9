"""Prometheus remote write 1.0: series as protobuf, in a snappy block of literals (which needs no compressor)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from urllib.request import Request, urlopen

Sample = tuple[int, float]
"""Seconds since 1970, value."""


def write(url: str, series: Iterable[tuple[Mapping[str, str], Sequence[Sample]]]) -> None:
    """Sends series (labels, `__name__` among them; samples in order of time) to a receiver.

    Raises:
        urllib.error.HTTPError: The receiver refuses them.
    """
    message = b"".join(_field(1, _series(labels, samples)) for labels, samples in series)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    with urlopen(
        Request(f"{url}/api/v1/write", _snappy(message), headers, method="POST"), timeout=60
    ) as done:
        done.read()


def _series(labels: Mapping[str, str], samples: Sequence[Sample]) -> bytes:
    names = (_field(1, _field(1, k.encode()) + _field(2, v.encode())) for k, v in sorted(labels.items()))
    # Sample: value (field 1, a double: tag 9), timestamp in milliseconds (field 2, a varint: tag 16)
    values = (
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at * 1000)) for at, value in samples
    )
    return b"".join((*names, *values))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _snappy(data: bytes) -> bytes:
    """The length, then literals of up to 64 KiB: tag 61 << 2 says that two bytes hold the length less one."""
    parts = (data[i : i + 65536] for i in range(0, len(data), 65536))
    return _varint(len(data)) + b"".join(b"\xf4" + struct.pack("<H", len(p) - 1) + p for p in parts)


def edge_plant(folder: Path, url: str, first: date, *, cameras: int, interval_s: int) -> None:
    """Writes `tierwise.yaml` and the assets of a plant whose cameras, cam-1 and so on, report to the server."""
    (folder / "assets.csv").write_text(
        "asset,site,node,kind,capex,currency,in_service,life_months\n"
        + "".join(f"a{n},plant,cam-{n},edge_device,1200,USD,{first},12\n" for n in range(1, cameras + 1))
    )
    (folder / "tierwise.yaml").write_text(
        f"""
sources:
  cams: {{kind: edge_prometheus, url: "{url}", site: plant, start: {first}, report_interval_s: {interval_s}, bridge_days: 1, late_days: 10}}
sites:
  plant: {{time_zone: UTC, pue: 1.5, tariff: 0.2}}
assets: ./assets.csv
"""
    )
