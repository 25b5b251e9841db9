"""The columns of each kind of sample file: names accepted, units, plausible values, and the SQL that reads them.

What is done with the samples belongs to `gpu.py`, `power.py` and `inference.py` beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.base import SourceError
from connectors.telemetry import BLANKS, MAX_CARD_KW, MAX_METER_KW

SENTINEL = 9e18
"""DCGM marks a blank value as 2^63 - 14 and the like; no counter gets this far."""

_KWH = 1 / 3.6e9
"""Of a millijoule."""


TIME = ("ts", "ts_utc", "timestamp")
"""Names accepted for the time of a sample, best first."""


def time_column(names: Iterable[str]) -> str | None:
    """The column with the time of the samples, as the file spells it; None where there is none."""
    lower = {n.lower(): n for n in names}
    return next((lower[n] for n in TIME if n in lower), None)


@dataclass(frozen=True)
class Column:
    """A column of samples.

    Attributes:
        name: As our SQL calls it.
        sources: Names accepted in files (compared without regard to case) -> factor to our unit, best first.
        condition: SQL condition on the value (`{v}`, a DOUBLE in our unit) that an interval meets; "" for text.
        blanks: Values in that interval that mean that there is none.
    """

    name: str
    sources: Mapping[str, float]
    condition: str = ""
    blanks: Sequence[float] = ()

    def plausible(self, low: str, high: str) -> str:
        """SQL: all values from `low` to `high`, which may be one and the same, are plausible.

        NaN is asked for by itself: DuckDB takes comparisons as met where the statistics of a Parquet file, which leave NaN
        out, say so.
        """
        ends = [f"isfinite({v}) AND {self.condition.format(v=v)}" for v in dict.fromkeys((low, high))]
        return " AND ".join((*ends, *(f"NOT ({low} <= {b!r}e0 AND {high} >= {b!r}e0)" for b in self.blanks)))


def _text(name: str, *aliases: str) -> Column:
    return Column(name, dict.fromkeys((*aliases, name), 1.0))


def _counter(name: str) -> Column:
    return Column(name, {name: 1.0}, f"{{v}} >= 0 AND {{v}} < {SENTINEL}")


OF_WHOLE_CARDS = ("dcgm_fi_dev_gpu_util", "percent")
"""Names of utilisation that mean nothing of a MIG instance: old exporters show 0 there."""

HOLDER = ("namespace", "pod", "team", "project", "environment", "workload", "workload_type")

_REPLICA = _text("replica", "prometheus_replica", "__replica__")
_NAMESPACE = _text("namespace", "exported_namespace", "pod_namespace")
_POD = _text("pod", "exported_pod", "pod_name")

GPU = (
    _text("node", "hostname"),
    _text("gpu", "uuid"),
    _text("gpu_model", "modelname"),
    _text("mig_profile", "gpu_i_profile"),
    _text("mig_id", "gpu_i_id"),
    Column(
        "utilisation",
        {
            "utilisation": 1.0,
            "dcgm_fi_prof_gr_engine_active": 1.0,
            "dcgm_fi_dev_gpu_util": 0.01,
            "percent": 0.01,
        },
        "{v} >= 0 AND {v} <= 1",
    ),
    Column(
        "power_w",
        {"power_w": 1.0, "dcgm_fi_dev_power_usage": 1.0},
        f"{{v}} > 0 AND {{v}} <= {MAX_CARD_KW * 1000}",
    ),
    Column(
        "energy_kwh_total",
        {"energy_mj": _KWH, "dcgm_fi_dev_total_energy_consumption": _KWH},
        f"{{v}} >= 0 AND {{v}} < {SENTINEL * _KWH}",
        tuple(b * _KWH for b in BLANKS),
    ),
    _NAMESPACE,
    _POD,
    *(_text(name) for name in HOLDER[2:]),
    _text("hpc_job"),
    _REPLICA,
)

POWER = (
    _text("node", "hostname"),
    _text("meter"),
    _text("run_id"),
    _text("method"),
    Column("power_w", {"power_w": 1.0, "watts": 1.0}, f"{{v}} > 0 AND {{v}} <= {MAX_METER_KW * 1000}"),
    # a meter that shows 0 has lost its counter, or is new: what it counted before and after goes on from one to the other
    Column("energy_kwh_total", {"energy_kwh_total": 1.0}, f"{{v}} > 0 AND {{v}} < {SENTINEL}"),
    _REPLICA,
)

COUNTERS = (
    "requests_total",
    "requests_failed_total",
    "prompt_tokens_total",
    "cached_tokens_total",
    "generation_tokens_total",
)

INFERENCE = (
    *(_text(name) for name in ("workload", "model", "team")),
    _NAMESPACE,
    _POD,
    *(_counter(name) for name in COUNTERS),
    _text("latency_seconds_buckets"),
    _REPLICA,
)

DATASETS: Mapping[str, Sequence[Column]] = {"gpu": GPU, "inference": INFERENCE, "power": POWER}
"""Kind of samples -> their columns, `ts` aside."""

REQUIRED: Mapping[str, Sequence[Sequence[str]]] = {
    "gpu": (("node",), ("gpu",)),
    "power": (("node", "meter", "run_id"), ("power_w", "energy_kwh_total")),
    "inference": (("workload", "model"), ("requests_total",)),
}
"""Kind of samples -> groups of columns of which a file must have one."""


def present(column: Column, names: Mapping[str, str]) -> list[tuple[str, float]]:
    """Names in the file that hold the column, with their factors; best first.

    A file with both spellings of a name gets a `_1` behind the second from DuckDB.
    """
    return [(names[n], factor) for s, factor in column.sources.items() for n in (s, f"{s}_1") if n in names]


def has(dataset: str, column: str, names: Iterable[str]) -> bool:
    """One of a file's columns holds the column of our name."""
    lower = {n.lower(): n for n in names}
    return any(present(c, lower) for c in DATASETS[dataset] if c.name == column)


def require(dataset: str, names: Sequence[str], where: str) -> None:
    """Checks that a file has the columns without which its samples mean nothing.

    Raises:
        SourceError: It has not.
    """
    lower = {n.lower(): n for n in names}
    if time_column(names) is None:
        msg = f"{where}: column 'ts' is missing; there are {sorted(names)}. Add the time of each sample, UTC or with its zone"
        raise SourceError(msg)
    columns = {c.name: c for c in DATASETS[dataset]}
    for group in REQUIRED[dataset]:
        if not any(present(columns[c], lower) for c in group):
            accepted = sorted({s for c in group for s in columns[c].sources})
            msg = (
                f"{where}: column {' or '.join(map(repr, group))} is missing; there are {sorted(names)}. "
                f"Accepted names: {', '.join(accepted)}"
            )
            raise SourceError(msg)
