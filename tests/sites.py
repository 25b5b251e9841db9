"""A seeded GPU site whose truth is known, as OpenMetrics text for `promtool tsdb create-blocks-from openmetrics`.

Four local days, in Madrid or elsewhere (`Plan`), the third of 25 hours there. Power is constant within a minute, so that the truth is a sum of
minutes. What telemetry does to it, on purpose:
- node alpha: scraped by two replicas of a highly available Prometheus, 7 s apart; one card is free, one held but idle
- node beta: scraped 13 s past the minute, `exported_` labels, counters restart, a pod changes within an hour
- node gamma: three hours without scrapes; after them one of its pods has another name
- node delta: one card in three MIG instances, each repeating power and energy of the whole card
- all: the label Hostname becomes hostname; a model server restarts
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from pathlib import Path
from zoneinfo import ZoneInfo

Labels = dict[str, str]


@dataclass(frozen=True)
class Card:
    """One card: who holds it when (pod, team), how hard it works, and its MIG instances (profile, id, pod, team)."""

    node: str
    name: str
    load: float
    holders: tuple[tuple[int, str, str], ...] = ()
    mig: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A site of four local days, and when telemetry breaks: hours after the first midnight.

    Attributes:
        zone: Time zone.
        first: First local day.
        seed: Seed.
        rename: Hostname becomes hostname.
        reset: Counters of node beta restart.
        churn: The pods of node beta change.
        gap: Node gamma falls silent, and comes back.
        server_reset: A model server restarts.
        begins: Telemetry begins.
        ends: Telemetry ends; None with the fourth day.
    """

    zone: str = "Europe/Madrid"
    first: date = date(2025, 10, 24)
    seed: int = 20251024
    rename: float = 50 + 1 / 3
    reset: float = 30 + 1 / 6
    churn: float = 40 + 5 / 12
    gap: tuple[float, float] = (57.25, 60.25)
    server_reset: float = 35 + 2 / 3
    begins: float = 0.0
    ends: float | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """The local days."""
        return tuple(self.first + timedelta(days=d) for d in range(4))

    @property
    def t0(self) -> int:
        """The first midnight, seconds since 1970."""
        return self._midnight(0)

    @property
    def minutes(self) -> int:
        """Minutes of the four days."""
        return (self._midnight(4) - self.t0) // 60

    @property
    def silence(self) -> tuple[int, int]:
        """Start and end of the gap, seconds since 1970."""
        return self.at(self.gap[0]), self.at(self.gap[1])

    @property
    def hours(self) -> dict[date, float]:
        """Local day -> its hours."""
        return {day: (self._midnight(i + 1) - self._midnight(i)) / 3600 for i, day in enumerate(self.days)}

    def told(self, ts: float) -> bool:
        """Whether there is telemetry of the minute that starts at a moment."""
        return self.at(self.begins) <= ts and (self.ends is None or ts < self.at(self.ends))

    def scraped(self, ts: float) -> bool:
        """Whether there is a scrape in the minute that starts at a moment: one more than minutes that are told."""
        return self.told(ts) or self.told(ts - 60)

    @property
    def seen_hours(self) -> dict[date, float]:
        """Local day -> hours that a scrape stands for, each for a minute."""
        minutes = (self.t0 + 60 * m for m in range(self.minutes))
        seen: dict[date, float] = defaultdict(float)
        for ts in minutes:
            seen[self.day_of(ts)] += self.scraped(ts) / 60
        return dict(seen)

    def at(self, hours: float) -> int:
        """A moment on a whole minute, seconds since 1970."""
        return self.t0 + round(hours * 60) * 60

    def day_of(self, epoch: float) -> date:
        """The local day of a moment."""
        return datetime.fromtimestamp(epoch, UTC).astimezone(ZoneInfo(self.zone)).date()

    def end_of(self, day: date) -> int:
        """The midnight after a local day, seconds since 1970."""
        return self._midnight(self.days.index(day) + 1)

    def _midnight(self, day: int) -> int:
        local = datetime.combine(self.first + timedelta(days=day), datetime.min.time(), ZoneInfo(self.zone))
        return int(local.timestamp())

    def cards(self) -> tuple[Card, ...]:
        """The cards."""
        begin, churn, back = self.t0, self.at(self.churn), self.silence[1]
        return (
            Card("alpha", "GPU-a0", 0.8, ((begin, "chat-0", "assist"),)),
            Card("alpha", "GPU-a1", 0.0, ((begin, "notebook-7", "research"),)),
            Card("alpha", "GPU-a2", 0.0),
            Card("beta", "GPU-b0", 0.6, ((begin, "train-a", "vision"), (churn, "train-b", "speech"))),
            Card("beta", "GPU-b1", 0.3, ((begin, "train-a", "vision"), (churn, "train-b", "speech"))),
            Card("gamma", "GPU-c0", 0.7, ((begin, "chat-1", "assist"),)),
            Card("gamma", "GPU-c1", 0.5, ((begin, "batch-x", "search"), (back, "batch-y", "search"))),
            Card(
                "delta",
                "GPU-d0",
                0.5,
                mig=(
                    ("1g.10gb", "7", "mig-s", "search"),
                    ("2g.20gb", "5", "mig-r", "research"),
                    ("4g.40gb", "1", "mig-v", "vision"),
                ),
            ),
        )


MADRID = Plan()
DAYS = MADRID.days
CARDS = MADRID.cards()


@dataclass
class Truth:
    """What really happened, by local day: kWh by card, card hours by team (MIG instances count whole), requests."""

    kwh: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    gap_kwh: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    team_hours: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    used_hours: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    requests: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    failed: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    tokens_out: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))


class Text:
    """Series by metric, written as one OpenMetrics file."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = defaultdict(list)

    def add(self, metric: str, labels: Mapping[str, str], samples: Iterator[tuple[float, float]]) -> None:
        """One series; samples are (epoch, value) in order."""
        inside = ",".join(f'{k}="{v}"' for k, v in labels.items())
        self._families[metric] += [f"{metric}{{{inside}}} {value:.15g} {ts:.0f}\n" for ts, value in samples]

    def write(self, path: Path) -> None:
        """Writes all series."""
        with path.open("w") as file:
            for metric, lines in self._families.items():
                file.write(f"# TYPE {metric} unknown\n")
                file.writelines(lines)
            file.write("# EOF\n")


def _scrapes(
    plan: Plan, first: float, last: float, offset: int, *, silent: tuple[int, int] | None = None
) -> Iterator[int]:
    """Scrapes in [first, last), one a minute, `offset` seconds past it; one at the very end of telemetry too."""
    for minute in range(plan.minutes + 1):
        ts = plan.t0 + minute * 60 + offset
        if not plan.scraped(ts - offset):
            continue
        if first <= ts < last and not (silent and silent[0] <= ts < silent[1]):
            yield ts


def _card(plan: Plan, card: Card, rng: random.Random, text: Text, truth: Truth) -> list[float]:
    """Writes a card's series; returns its power by minute."""
    load = [
        0.0 if not card.load else min(1.0, max(0.05, rng.gauss(card.load, 0.2)))
        for _ in range(plan.minutes + 2)
    ]
    watts = [70 + 530 * u + rng.uniform(0, 8) for u in load]
    total = [0.0]
    for w in watts:
        total.append(total[-1] + w * 60_000)
    for minute in range(plan.minutes):
        ts = plan.t0 + minute * 60
        if not plan.told(ts):
            continue
        kwh = watts[minute] / 60_000
        truth.kwh[card.name, plan.day_of(ts)] += kwh
        truth.used_hours[card.name, plan.day_of(ts)] += load[minute] / 60
        if card.node == "gamma" and plan.silence[0] <= ts < plan.silence[1]:
            truth.gap_kwh[card.name] += kwh
    offset = 13 if card.node == "beta" else 0

    def energy(ts: float) -> float:
        minute, second = divmod(ts - plan.t0, 60)
        mj = total[int(minute)] + watts[int(minute)] * 1000 * second
        if card.node == "beta" and ts >= plan.at(plan.reset):
            minute, second = divmod(plan.at(plan.reset) - plan.t0, 60)
            return mj - total[int(minute)] - watts[int(minute)] * 1000 * second
        return mj + 2e12

    def before(values: list[float]) -> Callable[[float], float]:
        return lambda ts: values[max(0, int((ts - plan.t0 - 1) // 60))]

    replicas: tuple[tuple[Labels, int], ...] = (({}, offset),)
    if card.node == "alpha":
        replicas = (({"prometheus_replica": "a"}, 0), ({"prometheus_replica": "b"}, 7))
    silent = plan.silence if card.node == "gamma" else None
    instances: tuple[tuple[Labels, tuple[tuple[int, str, str], ...]], ...] = (
        ({}, card.holders or ((plan.t0, "", ""),)),
    )
    if card.mig:
        instances = tuple(
            ({"GPU_I_PROFILE": profile, "GPU_I_ID": number}, ((plan.t0, pod, team),))
            for profile, number, pod, team in card.mig
        )
    for own, holders in instances:
        for (begin, pod, team), end in zip(
            holders, [h[0] for h in holders[1:]] + [plan.t0 + plan.minutes * 60 + 60], strict=True
        ):
            for minute in range(plan.minutes):
                if team and begin <= plan.t0 + minute * 60 < end and plan.scraped(plan.t0 + minute * 60):
                    truth.team_hours[team, plan.day_of(plan.t0 + minute * 60)] += 1 / 60
            for a, b in ((begin, min(end, plan.at(plan.rename))), (max(begin, plan.at(plan.rename)), end)):
                host = {"Hostname" if a < plan.at(plan.rename) else "hostname": card.node}
                for replica, late in replicas:
                    labels = {
                        "UUID": card.name, "modelName": "NVIDIA H100 80GB HBM3", **own, **host, **_holder(card.node, pod),
                        "instance": f"{card.node}:9400", "job": "dcgm", **replica,
                    }  # fmt: skip
                    for metric, value in (
                        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", energy),
                        ("DCGM_FI_DEV_POWER_USAGE", before(watts)),
                        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", before(load)),
                    ):
                        text.add(
                            metric,
                            labels,
                            ((ts, value(ts)) for ts in _scrapes(plan, a, b, late, silent=silent)),
                        )
    return watts


def _holder(node: str, pod: str) -> Labels:
    if node == "beta":
        plain = {"namespace": "monitoring", "pod": "nvidia-dcgm-exporter-b7x2k", "container": "exporter"}
        return plain | {"exported_namespace": "ml", "exported_pod": pod, "exported_container": "main"}
    return {"namespace": "ml", "pod": pod, "container": "main"} if pod else {}


def _pods(plan: Plan, text: Text) -> None:
    """What kube-state-metrics tells of the pods of whole cards, and the labels of all pods.

    A pod that is done keeps its request for three hours, in phase Succeeded.
    """
    end = plan.t0 + plan.minutes * 60 + 60
    lives: dict[str, tuple[str, int, int, str]] = {}
    cards: dict[str, int] = defaultdict(int)
    for card in plan.cards():
        for number, (begin, pod, team) in enumerate(card.holders):
            until = card.holders[number + 1][0] if number + 1 < len(card.holders) else end
            lives[pod] = (team, begin, until, card.node)
            cards[pod] += 1
        for _, _, pod, team in card.mig:
            lives[pod] = (team, plan.t0, end, card.node)
    for pod, (team, begin, until, node) in lives.items():
        known = {"namespace": "ml", "pod": pod, "uid": f"uid-{pod}", "job": "kube-state-metrics"}
        owned = known | {
            "label_team": team,
            "label_project": f"{team}-project",
            "label_app": pod.rsplit("-", 1)[0],
        }
        text.add("kube_pod_labels", owned, ((ts, 1) for ts in _scrapes(plan, begin, until, 0)))
        done = min(until + 3 * 3600, end)
        for phase, first, last in (("Running", begin, until), ("Succeeded", until, done)):
            values = ((ts, float(first <= ts < last)) for ts in _scrapes(plan, begin, done, 0))
            text.add("kube_pod_status_phase", known | {"phase": phase}, values)
        if cards[pod]:
            asked = known | {
                "node": node,
                "container": "main",
                "resource": "nvidia_com_gpu",
                "unit": "integer",
            }
            number = cards[pod]
            text.add(
                "kube_pod_container_resource_requests", asked,
                ((ts, float(count)) for ts, count in zip(_scrapes(plan, begin, done, 0), repeat(number), strict=False)),
            )  # fmt: skip


BOUNDS = (0.3, 0.8, 1.5, 5.0, 15.0)


def _server(plan: Plan, pod: str, rng: random.Random, text: Text, truth: Truth, *, restarts: bool) -> None:
    """A vLLM server: what it finished in each minute shows in the scrape at the end of the minute."""
    names = ("stop", "length", "abort", "prompt", "generation", "sum", *map(str, BOUNDS), "+Inf")
    counts = dict.fromkeys(names, 0.0)
    series: dict[str, list[tuple[float, float]]] = {n: [(plan.at(plan.begins), 0.0)] for n in names}
    for minute in range(plan.minutes):
        ts = plan.t0 + (minute + 1) * 60
        if not plan.told(ts - 60):
            continue
        if restarts and plan.t0 + minute * 60 == plan.at(plan.server_reset):
            counts = dict.fromkeys(names, 0.0)
        for _ in range(rng.randrange(4, 24)):
            day = plan.day_of(ts - 1)
            reason = rng.choices(("stop", "length", "abort"), (90, 8, 2))[0]
            latency, prompt, generated = (
                rng.lognormvariate(0.4, 0.8),
                rng.randrange(20, 3000),
                rng.randrange(1, 600),
            )
            truth.requests[pod, day] += reason != "abort"
            truth.failed[pod, day] += reason == "abort"
            truth.tokens_out[pod, day] += generated
            counts[reason] += 1
            counts["prompt"] += prompt
            counts["generation"] += generated
            counts["sum"] += latency
            for bound in BOUNDS:
                counts[str(bound)] += latency <= bound
            counts["+Inf"] += 1
        for name in names:
            series[name].append((ts, counts[name]))
    base = {
        "model_name": "llama-3.3-70b",
        "engine": "0",
        "namespace": "ml",
        "pod": pod,
        "instance": f"{pod}:8000",
        "job": "vllm",
    }
    for reason in ("stop", "length", "abort"):
        text.add("vllm:request_success_total", base | {"finished_reason": reason}, iter(series[reason]))
    text.add("vllm:prompt_tokens_total", base, iter(series["prompt"]))
    text.add("vllm:generation_tokens_total", base, iter(series["generation"]))
    for name in (*map(str, BOUNDS), "+Inf"):
        text.add("vllm:e2e_request_latency_seconds_bucket", base | {"le": name}, iter(series[name]))


def write_site(path: Path, plan: Plan = MADRID) -> Truth:
    """Writes the site's series and returns its truth."""
    rng = random.Random(plan.seed)
    text, truth = Text(), Truth()
    node_watts: dict[str, list[float]] = {}
    for card in plan.cards():
        watts = _card(plan, card, rng, text, truth)
        node_watts[card.node] = [
            a + b for a, b in zip(watts, node_watts.get(card.node, [400.0] * len(watts)), strict=True)
        ]
    for node, watts in node_watts.items():
        labels = {"instance": f"bmc-{node}", "node": node, "job": "ipmi"}
        values = (
            (ts, watts[max(0, (ts - plan.t0) // 60 - 1)])
            for ts in _scrapes(plan, plan.t0, plan.t0 + plan.minutes * 60 + 60, 0)
        )
        text.add("ipmi_dcmi_power_consumption_watts", labels, values)
        for minute in (m for m in range(plan.minutes) if plan.told(plan.t0 + m * 60)):
            truth.kwh[f"bmc-{node}", plan.day_of(plan.t0 + minute * 60)] += watts[minute] / 60_000
    _pods(plan, text)
    _server(plan, "chat-0", rng, text, truth, restarts=True)
    _server(plan, "chat-1", rng, text, truth, restarts=False)
    text.write(path)
    return truth
