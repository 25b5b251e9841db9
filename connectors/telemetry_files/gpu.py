"""Samples of GPUs to `telemetry.gpu_hourly`, in SQL, step by step in tables.

Rules:
- A sample stands for the time until the next sample of its card (its MIG instance), if that comes within
  `MAX_STEP` sample intervals: its holder held the card, at its utilisation. So the covered parts of an hour without
  gaps sum to exactly 1 h. A sample before a gap stands for one interval, as it does in Prometheus, the last one of a
  card for nothing until the next is delivered. The last sample of an instance stands for the time until the next one of its card: there the card is cut anew.
- Energy is counted once a card: between samples of the card, from its counter, else its gauge (`connectors.steps`).
  Every MIG instance repeats the energy of the whole card, so it is shared among the instances sampled at that moment
  by their compute slices: slices/7 of a fully partitioned H100, and always parts that sum to the card. The whole card,
  where nobody holds it, has no part beside them.
- A counter that shows less than a tenth of its gauge in an hour, or nothing, stands still or counts in another unit: the
  gauge counts, and without one the energy is unknown.
- Energy of hours of a holder in which no step has a counter or gauge is NULL; where some have, theirs is the energy.
- `observed_hours` and `used_hours` of a MIG instance are its own hours, not weighted by slices.
- Samples without utilisation are taken at the mean of the others of the hour under that holder.
- A pod (or batch job) that is on both sides of a gap held the card in it: rows with `sampled` false, whose use is unknown.
- A gap's energy is known where the samples on both sides have a readable counter, spread evenly over its time. It is that of
  the pods that held the card in it, else of nobody known: rows with `allocated` NULL, no hours and no instance.
- A card that moves within an hour has rows of both nodes; a sample that names no node is where the card was that hour.
- Samples of one instance at one moment: those of one holder (replicas, several labels) are one sample, with the mean of
  what they show; without a holder they count only where no other has one; different holders share the card evenly.
"""

from __future__ import annotations

from datetime import datetime

from connectors.counters import WRAP
from connectors.sql import literal
from connectors.steps import FIRST_MEAN_W, HOUR_US, MEAN_W, SELDOM_S, Clock, by_hour, energy_steps, kwh, paced
from connectors.telemetry import LESS, MAX_CARD_KW, STANDS
from connectors.telemetry_files.labels import HOLDING, NUMBERED, TEXTS

_REST = ("gpu_model", "mig_profile", "project", "environment", "workload_type")

_MOST = ", ".join(f"{c if c in ('gpu', 'mig_id', 'namespace', 'pod') else f'MAX({c})'} AS {c}" for c in TEXTS)

TOLD = """
    SELECT instance, ts, holder, any_value(allocated) AS allocated, MIN(name) AS name,
           CASE WHEN MIN(name) < MAX(name) THEN SUM(name) END AS several,
           AVG(utilisation) AS utilisation, AVG(power_w) AS power_w, MAX(energy_kwh_total) AS energy_kwh_total
    FROM samples JOIN labels USING (label) WHERE ts IS NOT NULL AND gpu IS NOT NULL GROUP BY instance, ts, holder"""
"""SQL: the table `told`: of the samples one by one, what is told of each holder of an instance at a moment.

`several` is a number for its names, where they differ.
"""

MERGED = f"""
    WITH moments AS (SELECT DISTINCT ON (several) several, instance, ts, holder FROM told WHERE several IS NOT NULL
    ), members AS (
        SELECT DISTINCT several, label FROM samples JOIN labels USING (label) JOIN moments USING (instance, ts, holder)
        UNION SELECT DISTINCT several, label FROM twins WHERE several IS NOT NULL
    )
    SELECT several, {NUMBERED} FROM (
        SELECT several, {_MOST} FROM members JOIN labels USING (label) GROUP BY several, gpu, mig_id, namespace, pod)"""
"""SQL: the table `merged`: of names that are told of one holder, the name with the most of each text."""


def readings_sql(interval_us: int) -> str:
    """SQL: the table `readings`: of the samples one by one, what each holder of an instance has at a moment.

    Samples without a holder do not count between two with one that are no farther apart than samples are: they are of an
    exporter that knows no pods.
    """
    return f"""
    WITH mixed AS (SELECT instance FROM told GROUP BY instance HAVING BOOL_OR(allocated) AND NOT BOOL_AND(allocated)
    ), eclipsed AS (
        SELECT instance, ts FROM (
            SELECT instance, ts, allocated, MAX(ts) FILTER (allocated) OVER (w ROWS UNBOUNDED PRECEDING) AS before,
                   MIN(ts) FILTER (allocated) OVER (w ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS after
            FROM told SEMI JOIN mixed USING (instance) WINDOW w AS (PARTITION BY instance ORDER BY ts)
        ) WHERE NOT allocated AND date_diff('microsecond', before, after) BETWEEN 1 AND {interval_us * 3 // 2}
    ), crowded AS (
        SELECT instance, ts, BOOL_OR(allocated) AS held, COUNT(*) AS told, COUNT(*) FILTER (allocated) AS holders
        FROM told GROUP BY instance, ts HAVING COUNT(*) > 1
    ), readings AS (
        SELECT COALESCE(m.name, t.name) AS name, ts, utilisation, power_w, energy_kwh_total, instance, t.holder,
               CASE WHEN held THEN holders ELSE COALESCE(told, 1) END AS sharers
        FROM told AS t LEFT JOIN crowded USING (instance, ts)
        LEFT JOIN merged AS m USING (several) WHERE t.allocated OR (held IS NOT TRUE AND (instance, ts) NOT IN (FROM eclipsed))
    )
    SELECT * EXCLUDE (instance, holder), 1 AS nth FROM readings WHERE sharers = 1
    UNION ALL
    SELECT * EXCLUDE (instance, holder), row_number() OVER (PARTITION BY instance, ts ORDER BY holder)
    FROM readings WHERE sharers > 1"""


def cards_sql(max_step_us: int) -> str:
    """SQL: the table `cards`: the spans of each card, whose instances all show the energy of the card.

    With `max_us`, the longest step after each that is no gap (`connectors.steps.paced`), and `tail_us`, what it stands for
    before one: the interval at which the card is read.
    """
    cards = """(
        SELECT *, LEAD(first_ts) OVER (PARTITION BY card ORDER BY first_ts) AS next_ts FROM (
            SELECT card, first_ts, MAX(ts) AS ts, SUM(slices) AS card_slices, MAX(kwh) AS kwh,
                   MAX(first_power_w) AS first_power_w, MAX(power_w) AS power_w,
                   MAX(first_energy_kwh_total) AS first_energy_kwh_total, MAX(energy_kwh_total) AS energy_kwh_total
            FROM spans GROUP BY card, first_ts))"""
    return paced(cards, "card", "first_ts = ts", max_step_us)


def steps_sql(bridge_us: int, clock: Clock) -> str:
    """SQL: the table `steps`: from the end of each span of a card to the next.

    In an hour in which a card's counter is too low (`STANDS`) its steps are told by the gauge, and gaps that touch it by nothing.
    """
    cards = "SELECT * EXCLUDE (kwh) FROM cards"
    steps = energy_steps(
        f"({cards})", "card", "max_us", bridge_us, MAX_CARD_KW, first="first_", wrap_kwh=WRAP / 3.6e9
    )
    told = "observed AND NOT implausible AND counted IS NOT NULL"
    took = "date_diff('microsecond', first_ts, ts)"
    spans = by_hour(
        f"(SELECT card, kwh AS counted, {kwh(FIRST_MEAN_W, took)} AS gauge, {took} AS us, first_ts AS t0, ts AS t1 "
        "FROM cards SEMI JOIN suspects USING (card))",
        "counted IS NOT NULL",
        clock,
    )
    return f"""
        WITH drawn AS MATERIALIZED (
            SELECT card, first_ts, ts, t0, t1, us, observed, kwh, implausible, counted,
                   CASE WHEN observed THEN {kwh(MEAN_W)} END AS gauge FROM ({steps})
        ), suspects AS MATERIALIZED (
            SELECT DISTINCT card FROM drawn WHERE {told} AND (counted * {LESS} < gauge OR counted = 0)
        ), low AS (
            SELECT card, hour FROM (
                SELECT card, hour, SUM(counted * part_us / us) AS counted, SUM(gauge * part_us / us) AS gauge, SUM(part_us) / {HOUR_US} AS seen
                FROM (FROM ({by_hour("(FROM drawn SEMI JOIN suspects USING (card))", told, clock)}) UNION ALL BY NAME {spans}) GROUP BY card, hour
            ) WHERE {STANDS}
        ), doubted AS (
            SELECT DISTINCT card, ts FROM ({by_hour("(FROM drawn SEMI JOIN suspects USING (card))", "counted IS NOT NULL", clock)}) SEMI JOIN low USING (card, hour)
        )
        SELECT * FROM drawn ANTI JOIN doubted USING (card, ts)
        UNION ALL BY NAME
        SELECT * REPLACE (gauge AS kwh, TRUE AS implausible) FROM drawn SEMI JOIN doubted USING (card, ts)"""


HELD = """
        SELECT *, CASE WHEN date_diff('microsecond', ts, t1) <= max_us THEN t1 WHEN t1 IS NOT NULL THEN LEAST(t1, ts + to_microseconds(tail_us)) END AS until FROM (
            SELECT name, card, instance, holder, in_pod, s.first_ts, s.ts, s.next_ts, s.utilisation, last_utilisation, s.kwh, sharers, slices, card_slices, max_us, tail_us,
                   CASE WHEN date_diff('microsecond', s.ts, s.next_ts) <= max_us THEN s.next_ts ELSE c.next_ts END AS t1
            FROM (SELECT *, LEAD(first_ts, sharers - nth + 1) OVER (PARTITION BY instance ORDER BY first_ts, nth) AS next_ts FROM spans) AS s
            JOIN cards AS c USING (card, first_ts))"""
"""SQL: the table `held`: spans of instances under their holders, and `until` when after its end each stands."""


def bridged_sql(bridge_us: int) -> str:
    """SQL: the table `bridged`: gaps (t0, t1) of instances with the same pod on both sides."""
    return f"""
        SELECT h.name, h.card, h.first_ts, h.until AS t0, h.next_ts AS t1, h.sharers, h.slices / h.card_slices AS part
        FROM held AS h SEMI JOIN held AS n ON n.instance = h.instance AND n.holder = h.holder AND n.first_ts = h.next_ts
        WHERE h.in_pod AND h.until < h.next_ts AND date_diff('microsecond', h.ts, h.next_ts) <= {bridge_us}"""


def sums_sql(clock: Clock) -> str:
    """SQL: the table `sums`: what each name has in each hour, and gaps, which have no name."""
    return f"""
        WITH links AS (
            SELECT name, sharers, last_utilisation, ts AS t0, until AS t1 FROM held WHERE until IS NOT NULL
        ), energies AS (
            SELECT name, s.kwh / s.us * slices / h.card_slices AS kwh_per_us, s.t0, s.t1
            FROM steps AS s JOIN held AS h USING (card, first_ts) WHERE observed AND s.kwh IS NOT NULL
        ), unseen AS MATERIALIZED (
            SELECT card, first_ts, t0, t1, kwh / us AS kwh_per_us FROM steps WHERE NOT observed AND kwh IS NOT NULL
        ), taken AS (
            SELECT b.name, s.card, s.first_ts, s.t0, s.t1, kwh_per_us * part AS kwh_per_us, part
            FROM unseen AS s JOIN bridged AS b ON b.card = s.card AND b.first_ts = s.first_ts AND b.t1 = s.t1
        ), left_over AS (
            SELECT s.* REPLACE (kwh_per_us * (1 - COALESCE(part, 0)) AS kwh_per_us)
            FROM unseen AS s LEFT JOIN (SELECT card, first_ts, SUM(part) AS part FROM taken GROUP BY ALL) USING (card, first_ts)
            WHERE COALESCE(part, 0) < 1 - 1e-9
        ), gaps AS (
            SELECT s.t0, s.t1, kwh_per_us, card, MAX(gpu) AS gpu, MAX(node) AS node, MAX(gpu_model) AS gpu_model
            FROM left_over AS s JOIN held USING (card, first_ts) JOIN names USING (name, card) GROUP BY card, s.t0, s.t1, kwh_per_us
        ), sums AS (
            SELECT hour, name, SUM(us) AS covered_us, SUM(CASE WHEN utilisation IS NOT NULL THEN us END) AS known_us,
                   SUM(utilisation * us) AS used_us, SUM(kwh) AS kwh
            FROM (
                SELECT {clock.hour("first_ts")} AS hour, name, date_diff('microsecond', first_ts, ts) / sharers AS us, utilisation,
                       kwh * slices / card_slices AS kwh FROM held WHERE first_ts < ts
                UNION ALL
                SELECT hour, name, part_us / sharers, last_utilisation, NULL FROM ({by_hour("links", "TRUE", clock)})
                UNION ALL
                SELECT hour, name, 0, NULL, kwh_per_us * part_us FROM ({by_hour("energies", "TRUE", clock)})
            ) GROUP BY hour, name
        )
        SELECT *, 0.0 AS gap_kwh, TRUE AS sampled FROM sums
        UNION ALL BY NAME
        SELECT hour, name, SUM(us) AS covered_us, 0.0 AS kwh, SUM(kwh) AS gap_kwh, FALSE AS sampled FROM (
            SELECT hour, name, part_us / sharers AS us, 0.0 AS kwh FROM ({by_hour("bridged", "TRUE", clock)})
            UNION ALL SELECT hour, name, 0, kwh_per_us * part_us FROM ({by_hour("taken", "TRUE", clock)})
        ) GROUP BY hour, name
        UNION ALL BY NAME
        SELECT hour, FALSE AS sampled, card AS holding, gpu, node, gpu_model, 0 AS covered_us, 0.0 AS kwh, kwh_per_us * part_us AS gap_kwh
        FROM ({by_hour("gaps", "TRUE", clock)})"""


def gpu_hourly_sql(week: datetime) -> str:
    """SQL: hours of cards and MIG instances under their holders that begin in a week: all at once take much memory.

    Returns:
        The columns of `telemetry.gpu_hourly` without day, source and site.
    """
    texts = ", ".join((*HOLDING, "allocated", *_REST))
    merged = ", ".join((*(f"any_value({c})" for c in (*HOLDING, "allocated")), *(f"MAX({c})" for c in _REST)))
    return f"""
        WITH week AS (SELECT * FROM sums WHERE date_trunc('week', hour) = TIMESTAMP {literal(f"{week:%Y-%m-%d}")}
        ), hours AS (
            SELECT s.* EXCLUDE (holding, gpu, node, gpu_model), n.* EXCLUDE (name) FROM week AS s JOIN names AS n USING (name)
            UNION ALL BY NAME SELECT * FROM week WHERE name IS NULL
        ), several AS (
            SELECT hour, holding, sampled FROM hours GROUP BY hour, holding, sampled HAVING COUNT(*) > 1 OR COUNT(node) = 0
        ), places AS (
            SELECT hour, gpu, MAX(node) AS place FROM hours
            WHERE (hour, gpu) IN (SELECT (hour, gpu) FROM hours WHERE node IS NULL) GROUP BY hour, gpu
        ), named AS (
            SELECT hour, node, sampled, {texts}, covered_us, used_us, known_us, kwh, gap_kwh FROM hours ANTI JOIN several USING (hour, holding, sampled)
            UNION ALL
            SELECT hour, COALESCE(node, place), sampled, {merged}, SUM(covered_us), SUM(used_us), SUM(known_us), SUM(kwh), SUM(gap_kwh)
            FROM hours SEMI JOIN several USING (hour, holding, sampled) LEFT JOIN places USING (hour, gpu)
            GROUP BY hour, holding, sampled, COALESCE(node, place)
        )
        SELECT * EXCLUDE (covered_us, used_us, known_us, kwh, gap_kwh), covered_us / {HOUR_US} AS observed_hours,
               used_us / known_us * covered_us / {HOUR_US} AS used_hours, kwh AS energy_kwh, gap_kwh AS energy_estimated_kwh
        FROM named"""


IMPLAUSIBLE = """
    SELECT MAX(file) AS file, ts, MAX(gpu) || ': ' || CAST(ROUND(counted, 3) AS VARCHAR) || ' kWh in '
           || CAST(us / 1000000 AS VARCHAR) || ' s' || COALESCE(', by its gauge ' || CAST(ROUND(gauge, 3) AS VARCHAR), '') AS jump
    FROM (SELECT card, ts, counted, gauge, us FROM steps WHERE implausible) JOIN (
        SELECT card, last_ts AS ts, gpu, file FROM bundles JOIN labels USING (label)
        UNION ALL SELECT card, ts, gpu, file FROM samples JOIN labels USING (label)) USING (card, ts) GROUP BY card, ts, counted, gauge, us"""
"""SQL: file, ts and jump (in words) of counter steps that were not believed (see `connectors.steps.energy_steps`)."""


SPARSE = f"""
    WITH here AS (
        SELECT card, first_ts AS ts, n, gpu, file FROM bundles JOIN labels USING (label) WHERE regular
        UNION ALL SELECT card, ts, 1, gpu, file FROM samples JOIN labels USING (label) WHERE ts IS NOT NULL AND gpu IS NOT NULL
    ), days AS (SELECT card, ts::DATE AS utc, MIN(ts) AS ts, SUM(n) AS samples, MAX(gpu) AS gpu, MIN(file) AS file FROM here GROUP BY ALL
    ), gaps AS (
        SELECT card, ts::DATE AS utc, COUNT(*) AS gaps, MEDIAN(us) AS us FROM steps
        WHERE NOT observed AND us <= {SELDOM_S * 1_000_000} GROUP BY ALL
    )
    SELECT file, ts, gpu || ': ' || CAST(ROUND(us / 1e6) AS BIGINT) || ' s between samples' AS step
    FROM days JOIN gaps USING (card, utc) WHERE gaps > 2 AND 2 * gaps > samples"""
"""SQL: file, ts and step (in words) of cards and UTC days of which more than half of the samples are before a gap."""
