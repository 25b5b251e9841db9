"""Samples of GPUs to `telemetry.gpu_hourly`, in SQL.

Rules:
- A sample stands for the time until the next sample of its card (its MIG instance), if that comes within
  `MAX_STEP` sample intervals: its holder held the card, at its utilisation. So the covered parts of an hour without
  gaps sum to exactly 1 h, and a sample before a gap, or the last one, covers nothing. The last sample of an instance
  stands for the time until the next one of its card: there the card is cut anew.
- Energy is counted once a card: between samples of the card, from its counter, else its gauge (`connectors.steps`).
  Every MIG instance repeats the energy of the whole card, so it is shared among the instances sampled at that moment
  by their compute slices: slices/7 of a fully partitioned H100, and always parts that sum to the card.
- Energy of hours of a holder in which no step has a counter or gauge is NULL; where some have, theirs is the energy.
- Without a pod the batch job (`hpc_job`) holds the card; it is the pod, and the workload where none is named.
- `observed_hours` and `used_hours` of a MIG instance are its own hours, not weighted by slices.
- Samples without utilisation are taken at the mean of the others of the hour under that holder.
- A gap is bridged where the samples on both sides have a readable counter. What it used belongs to nobody known: rows
  with `allocated` NULL, no observed hours and no instance, spread evenly over the time of the gap.
- A card that moves within an hour has rows of both nodes; a sample that names no node is where the card was that hour.
- Samples of one instance at one moment: those of one holder (replicas, several labels) are one sample, with the mean of
  what they show; without a holder they count only where no other has one; different holders share the card evenly.
"""

from __future__ import annotations

from connectors.steps import HOUR_US, UTC_CLOCK, Clock, by_hour, energy_steps
from connectors.telemetry_files.columns import HOLDER, MAX_CARD_KW

_SLICES = "COALESCE(TRY_CAST(regexp_extract(mig_profile, '([0-9]+)g', 1) AS DOUBLE), CASE WHEN mig_id IS NULL THEN 7 ELSE 1 END)"


def gpu_hourly_sql(samples: str, max_step_us: int, bridge_us: int, clock: Clock = UTC_CLOCK) -> str:
    """SQL: hours of cards and MIG instances under their holders.

    Args:
        samples: Relation of `bundles.points_sql`.
        max_step_us: Longer steps between samples are gaps, unless a bundle lies between them.
        bridge_us: Longer gaps are not bridged by the counter.
        clock: Where the hours of the site lie.

    Returns:
        The columns of `telemetry.gpu_hourly` without day, source and site.
    """
    holder = ", ".join(HOLDER)
    order = ", ".join(f"{c} NULLS FIRST" for c in HOLDER)
    most = ", ".join(f"MAX({c}) AS {c}" for c in HOLDER if c not in ("namespace", "pod"))
    return f"""
        WITH named AS (
            SELECT gpu, ts, COALESCE(mig_id, mig_profile) AS mig_id, namespace, COALESCE(pod, hpc_job) AS pod,
                   COALESCE(workload, CASE WHEN pod IS NULL THEN hpc_job END) AS workload,
                   * EXCLUDE (gpu, ts, mig_id, namespace, pod, workload, hpc_job)
            FROM {samples} WHERE ts IS NOT NULL AND gpu IS NOT NULL
        ), readings AS (
            SELECT gpu, mig_id, ts, namespace, pod, {most}, MAX(node) AS node, MAX(gpu_model) AS gpu_model, MAX(mig_profile) AS mig_profile,
                   AVG(utilisation) AS utilisation, AVG(power_w) AS power_w, MAX(energy_kwh_total) AS energy_kwh_total,
                   MAX(bundle_kwh) AS bundle_kwh, BOOL_OR(inside) AS inside
            FROM named GROUP BY gpu, mig_id, ts, namespace, pod, CASE WHEN pod IS NULL THEN workload END, CASE WHEN pod IS NULL THEN team END
        ), holders AS (
            SELECT *, COUNT(*) OVER moment AS sharers, row_number() OVER (moment ORDER BY {order}) AS nth
            FROM (SELECT *, pod IS NOT NULL OR workload IS NOT NULL OR team IS NOT NULL AS allocated FROM readings
                  QUALIFY allocated OR NOT BOOL_OR(allocated) OVER (PARTITION BY gpu, mig_id, ts))
            WINDOW moment AS (PARTITION BY gpu, mig_id, ts)
        ), ordered AS (
            SELECT *, LEAD(ts, sharers - nth + 1) OVER (PARTITION BY gpu, mig_id ORDER BY ts, nth) AS next_ts,
                   MIN(ts) OVER (PARTITION BY gpu ORDER BY ts RANGE BETWEEN INTERVAL 1 MICROSECOND FOLLOWING AND UNBOUNDED FOLLOWING) AS card_ts
            FROM holders
        ), held AS (
            SELECT *, ts AS t0, date_diff('microsecond', ts, t1) AS us, {_SLICES} / sharers AS slices
            FROM (SELECT *, CASE WHEN inside OR date_diff('microsecond', ts, next_ts) <= {max_step_us} THEN next_ts ELSE card_ts END AS t1 FROM ordered)
        ), cards AS (
            SELECT gpu, ts, MAX(node) AS node, MAX(gpu_model) AS gpu_model, SUM(slices) AS card_slices,
                   MAX(energy_kwh_total) AS energy_kwh_total, MAX(power_w) AS power_w, MAX(bundle_kwh) AS bundle_kwh
            FROM held GROUP BY gpu, ts
        ), steps AS ({energy_steps("cards", "gpu", max_step_us, bridge_us, MAX_CARD_KW, known="bundle_kwh")}
        ), shared AS (
            SELECT h.* EXCLUDE (t1, us), s.t1, s.us, s.kwh * h.slices / s.card_slices AS kwh
            FROM steps AS s JOIN held AS h ON h.gpu = s.gpu AND h.ts = s.t0 WHERE s.observed AND s.kwh IS NOT NULL
        ), parts AS (
            SELECT hour, gpu, mig_id, node, gpu_model, mig_profile, {holder}, allocated, part_us / sharers AS covered_us,
                   CASE WHEN utilisation IS NOT NULL THEN part_us / sharers END AS known_us, utilisation * part_us / sharers AS used_us,
                   CAST(NULL AS DOUBLE) AS kwh, 0.0 AS gap_kwh
            FROM ({by_hour("held", f"us <= {max_step_us} OR inside", clock)})
            UNION ALL BY NAME
            SELECT hour, gpu, mig_id, node, gpu_model, mig_profile, {holder}, allocated, 0 AS covered_us,
                   kwh * part_us / us AS kwh, 0.0 AS gap_kwh
            FROM ({by_hour("shared", "TRUE", clock)})
            UNION ALL BY NAME
            SELECT hour, gpu, node, gpu_model, 0 AS covered_us, 0.0 AS kwh, kwh * part_us / us AS gap_kwh
            FROM ({by_hour("steps", "NOT observed AND kwh IS NOT NULL", clock)})
        ), hours AS (
            SELECT hour, gpu, mig_id, namespace, pod, team, workload, allocated, node,
                   MAX(gpu_model) AS gpu_model, MAX(mig_profile) AS mig_profile, MAX(project) AS project,
                   MAX(environment) AS environment, MAX(workload_type) AS workload_type,
                   SUM(covered_us) AS covered_us, SUM(known_us) AS known_us, SUM(used_us) AS used_us,
                   SUM(kwh) AS kwh, SUM(gap_kwh) AS gap_kwh
            FROM parts GROUP BY hour, gpu, mig_id, namespace, pod, team, workload, allocated, node
        )
        SELECT hour, gpu, mig_id, namespace, pod, team, workload, allocated, place AS node,
               MAX(gpu_model) AS gpu_model, MAX(mig_profile) AS mig_profile, MAX(project) AS project,
               MAX(environment) AS environment, MAX(workload_type) AS workload_type,
               SUM(covered_us) / {HOUR_US} AS observed_hours,
               SUM(used_us) / SUM(known_us) * SUM(covered_us) / {HOUR_US} AS used_hours,
               SUM(kwh) AS energy_kwh, SUM(gap_kwh) AS energy_estimated_kwh
        FROM (SELECT *, COALESCE(node, MAX(node) OVER (PARTITION BY hour, gpu)) AS place FROM hours)
        GROUP BY hour, gpu, mig_id, namespace, pod, team, workload, allocated, place"""


def implausible_sql(samples: str, max_step_us: int, bridge_us: int) -> str:
    """SQL: file, ts and jump (in words) of counter steps that were not believed (see `connectors.steps.energy_steps`)."""
    cards = (
        "SELECT gpu, ts, MAX(file) AS file, MAX(energy_kwh_total) AS energy_kwh_total, MAX(power_w) AS power_w, "
        "MAX(bundle_kwh) AS bundle_kwh "
        f"FROM {samples} WHERE ts IS NOT NULL AND gpu IS NOT NULL GROUP BY gpu, ts"
    )
    steps = energy_steps(f"({cards})", "gpu", max_step_us, bridge_us, MAX_CARD_KW, known="bundle_kwh")
    return (
        "SELECT file, ts, gpu || ': ' || CAST(ROUND(counted, 3) AS VARCHAR) || ' kWh in ' "
        f"|| CAST(us / 1000000 AS VARCHAR) || ' s' AS jump FROM ({steps}) WHERE implausible"
    )
