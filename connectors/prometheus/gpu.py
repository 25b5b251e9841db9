"""GPU hours from the metrics of dcgm-exporter.

Rules:
- A card is its UUID. Scrapes by two jobs, sharers of a card and MIG instances repeat its counter: the maximum counts.
- Energy of a card: its counter in mJ from hour to hour (`counters.py`); for hours without the counter, mean power x
  hours covered; else NULL. It is shared among those who held the card in the hour by what the counter rose under each,
  MIG instances by compute slices besides (slices/7 for a fully partitioned H100); in an hour in which the card is cut
  anew, sample by sample (`recut.py`).
- Utilisation: mean of GR_ENGINE_ACTIVE, else, of whole cards, of GPU_UTIL / 100, over the samples of the hour.
- A sample stands for the time until the next one. Those who share a card at the same moment share its hour evenly. Of
  several exporters that see a card one counts (`exporters.py`).
- A counter that shows more than a card can draw, or a tenth of its gauge, is not believed (`doubts.py`).
- Blanks of DCGM (near 2^31 and 2^63) and what no card can do are dropped and counted; the rest of the hour stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from connectors.prometheus.counters import Grid, counter_hours
from connectors.prometheus.doubts import DROPPED, believed
from connectors.prometheus.exporters import CARD_HOUR, EXPORTER, TARGET, UUIDS, VIEW, Moments, counted, part
from connectors.prometheus.holder_energy import KEYS, shared
from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.pace import Pace
from connectors.prometheus.question import Question, blank, first_of, observed, one_replica
from connectors.prometheus.recut import Samples, cut_hours, parts
from connectors.telemetry import BLANKS, MAX_CARD_KW
from models.gpu_slices import time_of_slices

ENERGY = ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "dcgm_total_energy_consumption")
POWER = ("DCGM_FI_DEV_POWER_USAGE", "dcgm_power_usage")
ACTIVE = ("DCGM_FI_PROF_GR_ENGINE_ACTIVE",)
UTIL = ("DCGM_FI_DEV_GPU_UTIL", "dcgm_gpu_utilization")
"""Metrics with their names before dcgm-exporter 2."""

NO_SLICE = 'GPU_I_ID=""'
"""GPU_UTIL means nothing of a MIG instance, for which old exporters show 0."""

MJ_PER_KWH = 3.6e9
WHOLE = 7.0
"""Compute slices of a whole card."""
SENTINEL = 9e18
"""DCGM's blanks of 64 bits are 2^63 - 16 and the like; no counter gets this far."""
HOSTS = ("node", "hostname", "Hostname", "exported_node", "kubernetes_node")
CARD = (*UUIDS, "GPU_I_ID", "GPU_I_PROFILE", "modelName", *TARGET, *HOSTS)
LABELS = (*CARD, *PODS)


@dataclass(frozen=True)
class Cards:
    """What was found of the cards.

    Attributes:
        hours: hour, length, gpu, node, exporter_pod, instance, gpu_model, mig_profile, mig_id, slices, namespace, pod,
            uid, job, allocated, observed_hours, present_hours (others aside), used_hours, energy_kwh (NULL unknown), full
            (samples that the card would have of a full hour).
        gaps: hour, gpu, estimated: energy of gaps, kWh.
        dropped: hour, column_name, value, rows: values that were not believed.
    """

    hours: pl.DataFrame
    gaps: pl.DataFrame
    dropped: pl.DataFrame


BELIEVED = f">= 0 < {SENTINEL:.0f}" + "".join(f" != {blank_:.0f}" for blank_ in BLANKS)
"""PromQL that leaves the samples of an energy counter that are no blanks."""


def _either(metrics: tuple[str, ...], form: str, select: Callable[[str], str]) -> str:
    """The form for the first of the metrics that a series has."""
    return " or ".join(form.format(select(m)) for m in metrics)


def gpu_hours(question: Question, interval_s: float | None, exporter_pods: str, bridge_h: float) -> Cards:
    """Hours of cards and MIG instances under their holders.

    Args:
        question: The hours, those before and after in which a gap may end included.
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of the exporter's own pods.
        bridge_h: A longer silence is not bridged.
    """
    metrics = (*ENERGY, *POWER, *ACTIVE, *UTIL)
    counts = _either(metrics, "count_over_time({})", question.gauge)
    frame = question.ask(counts, LABELS).rename({"value": "count"})
    dropped = []
    for name, (query, clean) in _questions(question).items():
        values, wrong = _believed(question, query, clean, name)
        dropped += [
            _samples(question, metric, wrong, limit, COLUMNS[name]) for metric, limit in LIMITS.get(name, ())
        ]
        frame = frame.join(
            values.rename({"value": name}), on=[*LABELS, "ha", "hour"], how="full", coalesce=True
        )
    frame = frame.with_columns(pl.col("count").fill_null(0.0), gpu=first_of(UUIDS)).filter(
        pl.col("gpu").is_not_null()
    )
    frame = one_replica(_named(frame, exporter_pods), ["gpu"])
    hours = question.hours()
    frame = frame.join(hours.drop("index"), on="hour")
    chosen = counted(Moments(question, exporter_pods, metrics), frame, interval_s)
    scrapes, expected = chosen.scrapes, chosen.scrapes.expected
    kept = chosen.kept.with_columns(kept=pl.lit(value=True))
    known, own = pl.col("utilisation").is_not_null(), pl.col("own").filter("kept")
    merged = (
        frame.join(kept, on=[*VIEW, "hour"], how="left", nulls_equal=True)
        .group_by(*KEYS, "length")
        .agg(
            pl.col("node", "exporter_pod", "instance", "gpu_model", "mig_profile", "job").drop_nulls().max(),
            utilisation=(pl.col("utilisation") * pl.col("count")).sum() / pl.col("count").filter(known).sum(),
            own=pl.when(own.is_not_null().any()).then(own.sum()),
            kw=(pl.col("kw") * pl.col("count")).sum()
            / pl.col("count").filter(pl.col("kw").is_not_null()).sum(),
        )
    )
    rows = (
        merged.join(chosen.rows, on=KEYS, how="left", nulls_equal=True)
        .join(chosen.full, on=CARD_HOUR, how="left", nulls_equal=True)
        .with_columns(pl.col("count").fill_null(0.0))
        .with_columns(
            observed_hours=pl.when(pl.col("instants").is_null())
            .then(observed(expected, ["gpu", "mig_id"], pl.col("length")))
            .otherwise(part(expected, ["gpu", "mig_id"])),
            present_hours=pl.min_horizontal(pl.col("count") / expected, "length"),
            slices=pl.col("mig_profile")
            .str.extract(r"(\d+)g")
            .cast(pl.Float64)
            .fill_null(pl.when(pl.col("mig_id").is_null()).then(WHOLE).otherwise(1.0)),
            kw=pl.col("kw").fill_nan(None),
        )
    )
    energy, blanks = _card_energy(question, rows, Grid(hours, expected, bridge_h), scrapes)
    kinds = _drawn(exporter_pods)
    energy, nonsense = believed(energy, rows, Grid(hours, expected, bridge_h), question, kinds[0])
    dropped += [blanks, nonsense]
    beside = pl.col("pod").is_null() & (pl.col("observed_hours") <= 0)
    seen = rows.filter((pl.col("count") > 0) & ~beside)
    cut = cut_hours(seen, expected)
    rows = shared(seen, energy, parts(question, cut, seen, kinds, chosen)).with_columns(
        allocated=pl.col("pod").is_not_null(),
        used_hours=pl.col("utilisation").fill_nan(None) * pl.col("observed_hours"),
    )
    return Cards(
        rows.drop("own", "kw", "count", "utilisation"),
        _gaps(rows, energy),
        pl.concat(dropped),
    )


def _questions(question: Question) -> dict[str, tuple[str, str]]:
    """Column -> what to ask, and the same of believable samples alone."""
    watts, per_mj = MAX_CARD_KW * 1000, f"{MJ_PER_KWH:.0f}"
    good_w = f"> 0 <= {watts:.0f}"

    def clean(metrics: tuple[str, ...], function: str, good: str, scale: str = "", more: str = "") -> str:
        return " or ".join(f"{function}(({question.select(m, more)} {good})[$w:15s]){scale}" for m in metrics)

    active, util = (
        _either(ACTIVE, "avg_over_time({})", question.gauge),
        _either(UTIL, "avg_over_time({}) / 100", lambda metric: question.gauge(metric, NO_SLICE)),
    )
    return {
        "own": (
            _either(ENERGY, f"increase({{}}) / {per_mj}", question.counter),
            clean(ENERGY, "increase", BELIEVED, f" / {per_mj}"),
        ),
        "kw": (
            _either(POWER, "avg_over_time({}) / 1000", question.gauge),
            clean(POWER, "avg_over_time", good_w, " / 1000"),
        ),
        "utilisation": (
            f"{active} or {util}",
            f"{clean(ACTIVE, 'avg_over_time', '>= 0 <= 1')} or {clean(UTIL, 'avg_over_time', '>= 0 <= 100', ' / 100', NO_SLICE)}",
        ),
    }  # fmt: skip


GOOD = {"own": (0.0, MAX_CARD_KW), "kw": (1e-9, MAX_CARD_KW), "utilisation": (0.0, 1.0)}
"""Column -> what an hour of a card can show at least and at most."""

LIMITS: dict[str, tuple[tuple[tuple[str, ...], float], ...]] = {
    "kw": ((POWER, MAX_CARD_KW * 1000),), "utilisation": ((ACTIVE, 1.0), (UTIL, 100.0))
}  # fmt: skip
"""Column -> gauges and the most that a sample of them can be. Of the counter, `_card_energy` sees the samples."""

COLUMNS = {"own": "energy_kwh", "kw": "power_kw", "utilisation": "utilisation"}


def _believed(question: Question, query: str, clean: str, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The answer; where it shows what no card can do, that of the believable samples, and where that was."""
    values = question.ask(query, LABELS, finite=False)
    good = pl.col("value").is_between(*GOOD[name])
    wrong = values.filter(~good)
    if wrong.is_empty():
        return values, wrong
    by = [*LABELS, "ha", "hour"]
    repaired = question.ask(clean, LABELS).filter(good).join(wrong, on=by, how="semi")
    return pl.concat([values.filter(good), repaired]), wrong


def _samples(
    question: Question, metrics: tuple[str, ...], wrong: pl.DataFrame, limit: float, column: str
) -> pl.DataFrame:
    """Samples of gauges above a limit in some hours, by hour: `DROPPED`."""
    hours = wrong.select("hour").unique().join(question.hours(), on="hour").sort("hour")
    ranges = [question.gauge(m) for m in metrics]
    return _counted(question, ranges, hours, pl.col("value") > limit, column)


def _counted(
    question: Question, ranges: Sequence[str], hours: pl.DataFrame, bad: pl.Expr, column: str
) -> pl.DataFrame:
    rows = []
    for hour, length in hours.select("hour", "length").iter_rows():
        parts = [question.samples_of(r, hour, length, UUIDS, finite=False) for r in ranges]
        found = pl.concat(parts).filter(bad).unique([*UUIDS, "ha", "at"])
        if found.height:
            worst = found["value"].to_list()
            rows.append((hour, column, f"{max(worst):.0f}", float(found.height)))
    return pl.DataFrame(rows, schema=DROPPED, orient="row")


def _named(frame: pl.DataFrame, exporter_pods: str) -> pl.DataFrame:
    """Adds what the labels say of card and holder; a host named after the exporter's pod or `localhost` is none."""
    own = pl.col("pod").str.contains(f"^(?:{exporter_pods})$")
    host = first_of(HOSTS)
    nobody = host.str.contains(f"^(?:{exporter_pods}|localhost(\\..*)?|127\\..*)$")
    frame = frame.with_columns(
        exporter=EXPORTER,
        mig_id=blank("GPU_I_ID"),
        mig_profile=blank("GPU_I_PROFILE"),
        gpu_model=blank("modelName"),
        instance=blank("instance"),
        exporter_pod=pl.when(own).then("pod").when(nobody).then(host),
        node=pl.when(~nobody).then(host),
    )
    return holders(frame, exporter_pods)


def _card_energy(
    question: Question, rows: pl.DataFrame, grid: Grid, scrapes: Pace
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """hour, gpu, measured, estimated in kWh: of cards and hours with a counter; and what was not believed."""
    blank_ = (pl.col("value") >= SENTINEL) | pl.col("value").is_in(BLANKS)
    seen: list[pl.DataFrame] = []

    def ask(form: str, function: str) -> pl.DataFrame:
        found = question.ask(_either(ENERGY, form, question.values), UUIDS, function)
        if (wrong := found.filter(blank_)).height:
            seen.append(wrong.select("hour"))
            believed = (f"({question.select(m)} {BELIEVED})[$h:15s]" for m in ENERGY)
            found = question.ask(" or ".join(form.format(b) for b in believed), UUIDS, function)
        return found.group_by("hour", gpu=first_of(UUIDS)).agg(
            pl.col("value").max() if function == "max" else pl.col("value").min()
        )

    instances = rows.group_by("gpu", "hour", "mig_id").agg(
        pl.col("observed_hours").sum(), pl.col("length", "slices").max()
    )
    covered = (
        time_of_slices(instances.with_columns(weight=pl.col("slices") / WHOLE), ["gpu", "hour"])
        .join(
            instances.group_by("gpu", "hour").agg(pl.col("length", "observed_hours").max()),
            on=["gpu", "hour"],
        )
        .select(
            "gpu",
            "hour",
            missing=(pl.col("length") - pl.col("sliced")).clip(lower_bound=0.0),
            anew=pl.when(pl.col("sliced") > pl.col("observed_hours")).then(pl.col("sliced") * grid.expected),
        )
    )
    values = (
        ask("max_over_time({})", "max").rename({"value": "hi"})
        .join(ask("min_over_time({})", "min").rename({"value": "lo"}), on=["gpu", "hour"])
        .join(_counts(question, scrapes), on=["gpu", "hour"])
        .join(covered, on=["gpu", "hour"], how="left")
        # a card that is cut anew has the samples of the series that follow each other
        .with_columns(pl.col("missing").fill_null(1.0), count=pl.max_horizontal("count", "anew"))
        .filter(pl.col("gpu").is_not_null())
    )  # fmt: skip

    def rises(hour: datetime, length: float) -> pl.DataFrame:
        card = " or ".join(f"({question.select(m)} {BELIEVED})" for m in ENERGY)
        found = question.ask_at(
            f"increase(max by ({', '.join(UUIDS)}) ({card})[$w:15s])", hour, length, UUIDS
        )
        return found.select("value", gpu=first_of(UUIDS))

    found = counter_hours(values, ["gpu"], grid, rises)
    hours = pl.concat([rows.select("hour").clear(), *seen]).unique().join(grid.hours, on="hour").sort("hour")
    dropped = _counted(question, [question.values(m) for m in ENERGY], hours, blank_, COLUMNS["own"])
    return found.with_columns(pl.col("measured", "estimated") / MJ_PER_KWH), dropped


def _gaps(rows: pl.DataFrame, energy: pl.DataFrame) -> pl.DataFrame:
    """hour, gpu, estimated: energy of gaps, and what was counted in hours in which no sample names a holder."""
    seen = rows.select("hour", "gpu", seen=pl.lit(value=True)).unique()
    found = energy.join(seen, on=["hour", "gpu"], how="left").with_columns(
        estimated=pl.col("estimated") + pl.when(pl.col("seen").is_null()).then("measured").otherwise(0.0)
    )
    return found.filter(pl.col("estimated") > 0).select("hour", "gpu", "estimated")


def _counts(question: Question, scrapes: Pace) -> pl.DataFrame:
    found = question.ask(
        _either(ENERGY, "count_over_time({})", question.values), [*UUIDS, "GPU_I_ID", *TARGET]
    )
    views = found.with_columns(gpu=first_of(UUIDS), mig_id=blank("GPU_I_ID"), exporter=EXPORTER)
    named = scrapes.even(views, "value")
    return named.group_by("hour", "gpu").agg(count=pl.col("value").max())


def _drawn(exporter_pods: str) -> list[Samples]:
    """Samples of what cards draw, the best kind first."""
    blank_ = (pl.col("value") >= SENTINEL) | pl.col("value").is_in(BLANKS)
    good_w = pl.col("value").is_between(0, MAX_CARD_KW * 1000, closed="right")

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        cards = frame.with_columns(gpu=first_of(UUIDS)).filter(pl.col("gpu").is_not_null())
        return _named(cards, exporter_pods)

    return [
        Samples(ENERGY, LABELS, named, ~blank_, counter=True, per_kwh=MJ_PER_KWH),
        Samples(POWER, LABELS, named, good_w, counter=False, per_kwh=1000.0),
    ]
