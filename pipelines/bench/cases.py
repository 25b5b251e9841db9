"""The cases of `tierwise bench`: what is compared with what, and which figure is good enough."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.bench import converter, devices, pandas_script, samples, ways
from pipelines.bench.generate import SEPTEMBER
from pipelines.bench.measure import Measured, measured

CENT = 0.005


class BenchError(Exception):
    """Two ways that should give the same do not."""


@dataclass(frozen=True)
class Figure:
    """One figure of a case.

    Attributes:
        case: Name of the case.
        what: What it says.
        value: The figure.
        unit: x (a ratio), s or MB.
        goal: What it should reach, if anything.
        at_least: The goal is a lower bound, not an upper one.
    """

    case: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass
class Bench:
    """The data of a run and what has been measured.

    Attributes:
        folder: Where data is generated.
        rows: Line items of a month.
        repeat: How often each case is measured; the least time counts.
        report: Told what is going on.
        measurements: Case and name -> what it cost.
    """

    folder: Path
    rows: int
    repeat: int
    report: Callable[[str], None]
    measurements: dict[tuple[str, str], Measured] = field(default_factory=dict)

    def deliver(self, name: str, rows: int, months: tuple[date, ...] = (SEPTEMBER,), **more: Any) -> Path:
        """A location with deliveries, generated when first asked for."""
        root = self.folder / name
        done = root / f".{more.get('execution', 'done')}"
        if not done.exists():
            self.report(f"generating {name}: {rows:,} rows a month, {len(months)} months")
            shutil.rmtree(root, ignore_errors=True)
            measured(ways.generate, root, rows, months, more)
            done.touch()
        return root

    def month(self) -> Path:
        """The location with one month of `rows`."""
        return self.deliver("month", self.rows)

    def fresh(self) -> Path:
        """An empty folder for results."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        (self.folder / "data").mkdir()
        return self.folder / "data"

    def run(self, case: str) -> list[Figure]:
        """Measures a case.

        Raises:
            BenchError: The ways that it compares do not agree.
        """
        for turn in range(self.repeat):
            self.report(f"{case}: measuring, {turn + 1} of {self.repeat}")
            for name, new in CASES[case][0](self).items():
                known = self.measurements.get((case, name))
                self.measurements[case, name] = known.least(new) if known else new
        self.fresh()
        found = CASES[case][1]({n: m for (c, n), m in self.measurements.items() if c == case})
        return [Figure(case, *figure) for figure in found]


@contextmanager
def bench_in(keep: Path | None, rows: int, repeat: int, report: Callable[[str], None]) -> Iterator[Bench]:
    """A bench in a folder of its own, removed at the end unless it is to be kept."""
    with ExitStack() as cleaning:
        if keep is None:
            folder = Path(cleaning.enter_context(TemporaryDirectory(prefix="tierwise-bench-")))
        else:
            folder = keep.absolute() / f"{rows}-rows"
            folder.mkdir(parents=True, exist_ok=True)
        yield Bench(folder, rows, repeat, report)


Costs = Mapping[str, Measured]
Figures = list[tuple[Any, ...]]


def _files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.parquet"))


def _same(what: str, *values: object) -> None:
    if len(set(values)) > 1:
        msg = f"{what} differ: {', '.join(map(str, values))}; the measurement means nothing, report a defect"
        raise BenchError(msg)


def _ours(bench: Bench, *, reduce: bool) -> dict[str, Measured]:
    """Our own way over the month, and the copies of the same native columns."""
    source = _files(bench.month())
    native = measured(ways.look, source).result
    costs = {}
    for name in ("columns", "used"):
        to = bench.fresh() / f"{name}.parquet"
        label = "copy of all columns" if name == "columns" else "copy of the columns used"
        costs[label] = measured(ways.copy, source, native[name], to)
        copied = measured(ways.look, [to]).result
        _same("rows", costs[label].result["rows"], copied["rows"], native["rows"])
        _same("totals", copied["billed"], native["billed"])
    ours = measured(_update, bench.month(), bench.fresh(), {"reduce": reduce})
    _same("totals", native["billed"], ours.result["billed"])
    _same("rows", native["rows"], ours.result["rows"])
    if reduce:
        _same("totals", native["billed"], ours.result["reduced"])
    return {**costs, ("load and reduce" if reduce else "load"): ours}


def _update(root: Path, data: Path, more: dict[str, bool]) -> Any:
    return ways.update(root, data, **more)


def _against_copy(label: str) -> Callable[[Costs], Figures]:
    def figures(costs: Costs) -> Figures:
        return [
            (f"CPU of {label} / {copy}", costs[label].cpu_s / costs[copy].cpu_s, "x", 1.4)
            for copy in ("copy of all columns", "copy of the columns used")
        ]

    return figures


def _pandas(bench: Bench) -> dict[str, Measured]:
    """The script: reading the columns that it needs; the whole bill; and counting exactly, as ours counts."""
    source, data = _files(bench.month()), bench.fresh()
    used = measured(ways.look, source).result["used"]
    costs = {"load and reduce": measured(_update, bench.month(), data, {})}
    for name, columns, exact in (
        ("pandas, columns needed", used, False),
        ("pandas, whole bill read", (), False),
        ("pandas, exact amounts", used, True),
    ):
        rows, daily = data / "pandas.rows.parquet", data / "pandas.daily.parquet"
        costs[name] = measured(_pandas_script, source, rows, daily, columns, exact)
        _same("rows", costs["load and reduce"].result["rows"], costs[name].result["rows"])
        gap = measured(ways.compare, data, rows, daily).result
        if gap["alone"] or not gap["groups"] or gap["greatest"] >= CENT or gap["unlike"]:
            msg = f"our costs and those of the pandas script differ: {gap}; report a defect"
            raise BenchError(msg)
    return costs


def _pandas_script(source: list[Path], rows: Path, daily: Path, columns: list[str], exact: bool) -> Any:
    return pandas_script.script(source, rows, daily, columns, exact=exact)


def _pandas_figures(costs: Costs) -> Figures:
    ours = costs["load and reduce"]
    return [
        (f"{what} of {name} / load and reduce", getattr(script, key) / getattr(ours, key), "x", 8.0, True)
        for name, script in costs.items()
        if script is not ours
        for what, key in (("CPU", "cpu_s"), ("wall time", "wall_s"))
    ]


def _converter(bench: Bench) -> dict[str, Measured]:
    """focus-converter and our statement, for the columns that it makes of the bill."""
    source, data = _files(bench.month()), bench.fresh()
    flat, theirs, mine = data / "flat.parquet", data / "converted", data / "ours.parquet"
    try:
        bench.report("converter: fetching focus-converter")
        environment = converter.install(bench.folder)
        measured(converter.flatten, source, environment, flat)
        bench.report("converter: measuring")
        start = measured(converter.start, environment)
        tool = measured(converter.convert, environment, flat, theirs)
    except converter.ToolError as error:
        raise BenchError(str(error)) from error
    made = measured(converter.converted, theirs).result
    ours = measured(converter.ours, source, made["columns"], mine)
    _same("rows", made["rows"], ours.result["rows"])
    gap = abs(float(measured(converter.billed, mine).result["billed"]) - made["billed"])
    if gap >= CENT:
        msg = f"our billed cost and that of focus-converter differ by {gap}; report a defect"
        raise BenchError(msg)
    return {"focus-converter, start": start, "focus-converter": tool, "the same columns": ours}


def _converter_figures(costs: Costs) -> Figures:
    start, tool, ours = costs.values()
    return [
        (
            f"{what} of focus-converter without its start / the same columns",
            (getattr(tool, key) - getattr(start, key)) / getattr(ours, key), "x", 3.0, True,
        )
        for what, key in (("CPU", "cpu_s"), ("wall time", "wall_s"))
    ]  # fmt: skip


def _unchanged(bench: Bench) -> dict[str, Measured]:
    months = tuple(date(2026, n, 1) for n in range(1, 13))
    root, data = bench.deliver("year", -(-bench.rows // 12), months), bench.fresh()
    first = measured(_update, root, data, {"reduce": False})
    again = measured(_update, root, data, {"reduce": False, "listed": False})
    _same("slices", (12, 12), (first.result["read"], first.result["slices"]))
    _same("slices", (0, 12), (again.result["read"], again.result["slices"]))
    _same("totals", first.result["billed"], again.result["billed"])
    return {"first load of 12 months": first, "nothing changed": again}


def _redelivery(bench: Bench) -> dict[str, Measured]:
    """One month delivered three times; each delivery is listed, loaded and reduced into the same store."""
    data, costs = bench.fresh(), {}
    for name, execution, changed in (
        ("first load", "20260930T000000Z-a", ()),
        ("same content, new names", "20261001T000000Z-b", ()),
        ("three days changed", "20261002T000000Z-c", (10, 11, 12)),
    ):
        root = bench.deliver(f"month-{execution}", bench.rows, execution=execution, changed=changed)
        costs[name] = measured(_update, root, data, {"listed": False})
    for cost in costs.values():
        _same("totals", cost.result["billed"], cost.result["reduced"])
    first, same, changed_ = (c.result["billed"] for c in costs.values())
    _same("totals", first, same)
    if changed_ == first:
        msg = "three days changed and the total did not; report a defect"
        raise BenchError(msg)
    return costs


def _redelivery_figures(costs: Costs) -> Figures:
    first, same, changed = costs.values()
    return [
        ("CPU of same content, new names / first load", same.cpu_s / first.cpu_s, "x", 1 / 3),
        ("CPU of three days changed / first load", changed.cpu_s / first.cpu_s, "x", 0.5),
    ]


def _memory(bench: Bench) -> dict[str, Measured]:
    small = measured(_update, bench.month(), bench.fresh(), {})
    large = measured(_update, bench.deliver("three-times", 3 * bench.rows), bench.fresh(), {})
    _same("rows", 3 * small.result["rows"], large.result["rows"])
    return {"load and reduce": small, "load and reduce three times the rows": large}


def _memory_figures(costs: Costs) -> Figures:
    small, large = costs.values()
    return [
        ("peak memory", small.peak_mb, "MB", 2500.0),
        ("peak memory at three times the rows", large.peak_mb, "MB", 2500.0),
        ("growth of peak memory", large.peak_mb / small.peak_mb, "x", 1.1),
    ]


def _gpu(bench: Bench) -> dict[str, Measured]:
    """Samples of as many cards for 30 days as give `rows`, one at least. What comes out is known beforehand."""
    cards = max(1, bench.rows // samples.CARD_ROWS)
    root = bench.folder / "samples"
    if not (root / ".done").exists():
        bench.report(f"generating samples: {cards:,} GPUs, 30 days, {cards * samples.CARD_ROWS:,} rows")
        shutil.rmtree(root, ignore_errors=True)
        measured(samples.write_samples, root, cards)
        (root / ".done").touch()
    data = bench.fresh()
    costs = {
        "scan and sum of numbers": measured(samples.scan, root),
        "scan of numbers and labels": measured(samples.scan, root, samples.LABELS),
        "to hours": measured(samples.to_hours, root, data),
    }
    _same("rows", cards * samples.CARD_ROWS, *(c.result["rows"] for c in costs.values()))
    minutes = cards * (samples.CARD_ROWS - 1)
    found = costs["to hours"].result
    _same("hours", round(minutes / 60, 3), round(found["observed_hours"], 3))
    _same("kWh", round(minutes * 30e6 / 3.6e9, 3), round(found["energy_kwh"], 3))
    return costs


def _gpu_figures(costs: Costs) -> Figures:
    ours = costs["to hours"]
    return [
        (f"{what} of to hours / {name}", getattr(ours, key) / getattr(bare, key), "x", 1.5)
        for name, bare in costs.items()
        if bare is not ours
        for what, key in (("CPU", "cpu_s"), ("wall time", "wall_s"))
    ]


def _edge(bench: Bench) -> dict[str, Measured]:
    """Reports of as many devices for 30 days as give `rows`, twenty at least, and then those that come late."""
    count = max(20, round(bench.rows / devices.DEVICE_LINES))
    root = bench.folder / "fleet"
    if not (root / ".done").exists():
        bench.report(f"generating reports: {count:,} devices, 30 days")
        shutil.rmtree(root, ignore_errors=True)
        measured(devices.write_fleet, root, count)
        (root / ".done").touch()
    data = bench.fresh()
    first = measured(devices.to_days, root, "first", count, data, {})
    late = measured(devices.to_days, root, "all", count, data, first.result["fingerprints"])
    for way in (first, late):
        _same("device days that are not the truth", 0, way.result["differences"])
    _same("days", devices.DAYS, first.result["days"])
    return {"to days": first, "late files": late}


def _edge_figures(costs: Costs) -> Figures:
    first, late = costs.values()
    return [
        ("wall time of to days", first.wall_s, "s", 60.0),
        ("wall time of late files", late.wall_s, "s", 60.0),
        ("peak memory of to days", first.peak_mb, "MB", 2500.0),
        ("peak memory of late files", late.peak_mb, "MB", 2500.0),
    ]


CASES: dict[str, tuple[Callable[[Bench], dict[str, Measured]], Callable[[Costs], Figures]]] = {
    "load": (lambda bench: _ours(bench, reduce=False), _against_copy("load")),
    "reduce": (lambda bench: _ours(bench, reduce=True), _against_copy("load and reduce")),
    "pandas": (_pandas, _pandas_figures),
    "converter": (_converter, _converter_figures),
    "unchanged": (_unchanged, lambda c: [("wall time", c["nothing changed"].wall_s, "s", 1.0)]),
    "redelivery": (_redelivery, _redelivery_figures),
    "memory": (_memory, _memory_figures),
    "gpu": (_gpu, _gpu_figures),
    "edge": (_edge, _edge_figures),
}
"""Name -> how it is measured, and its figures: the fields of `Figure` after the case."""

FETCHED = ("converter",)
"""Cases that fetch a tool from the package index: measured only when asked for by name."""
