"""The AWS bill of Lumen Orchard as line items: hourly for instances, daily for the rest, with a savings plan.

Amounts are integers of 1e-10 USD until `cur_bucket.py` writes them. Which resources there are belongs to
`aws_resources.py`; files, manifests and deliveries to `cur_bucket.py`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from examples import amounts
from examples.aws_resources import METERS
from examples.company import AWS_PROD, AWS_RESEARCH, MISSPELT, PAYER
from examples.noise import SECONDS, noise
from examples.truth import Bill

PLAN_ARN = f"arn:aws:savingsplans::{PAYER}:savingsplan/6f1d2c3b-88aa-4e07-9b51-0c2f7e3d9a10"
COVERED, NEGATION, PLAN_FEE = "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee"
TAX_PERCENT = 2
CREDIT = 1_500 * amounts.UNIT


def _meters() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "meter": n,
            "account": m.account,
            "code": m.code,
            "product": m.product,
            "usage_type": m.usage_type,
            "operation": m.operation,
            "family": m.family,
            "region": m.region,
            "resource": m.resource,
            "unit": m.unit,
            "rate": amounts.rate(m.price),
            "plan_rate": amounts.rate(m.plan_price) if m.plan_price else None,
            "amount": m.amount,
            "rhythm": m.rhythm,
            "instance": m.instance,
            "team": m.owner.team,
            "project": m.owner.project,
            "environment": m.owner.environment,
            "workload": m.owner.workload,
            "workload_type": m.owner.workload_type,
        }
        for n, m in enumerate(METERS)
    )


def _clock(start: date, end: date, step_s: int) -> pl.DataFrame:
    first = int(datetime.combine(start, time(0), tzinfo=UTC).timestamp())
    last = int(datetime.combine(end + timedelta(days=1), time(0), tzinfo=UTC).timestamp())
    begin = pl.int_range(first, last, step_s, eager=True).alias("begin")
    return begin.to_frame().with_columns(until=begin + step_s)


def _usage(seed: int) -> pl.Expr:
    """Thousandths of a unit used in a period, by the rhythm of the meter; 0 where it stands still."""
    key = pl.col("meter") * SECONDS + pl.col("begin")
    ts = pl.from_epoch("begin", time_unit="s")
    working = (ts.dt.weekday() < 6) & ts.dt.hour().is_between(6, 17)
    run = noise(pl.col("meter") * SECONDS + pl.col("begin") // 43_200, "aws/run", seed, 10) < 4
    pause = noise(key, "aws/batch", seed, 40)
    return (
        pl.when(pl.col("rhythm") == "daily")
        .then(pl.col("amount") * (88 + noise(key, "aws/daily", seed, 25)) // 100)
        .when(pl.col("rhythm") == "office")
        .then(pl.when(working).then(pl.col("amount")).otherwise(0))
        .when(pl.col("rhythm") == "runs")
        .then(pl.when(run).then(pl.col("amount")).otherwise(0))
        .when((pl.col("rhythm") == "batch") & (pause == 0))
        .then(0)
        .when((pl.col("rhythm") == "batch") & (pause == 1))
        .then(pl.col("amount") // 4)
        .otherwise("amount")
    )


def _plan(lines: pl.DataFrame, clock: pl.DataFrame) -> pl.DataFrame:
    """Of each hour: one negation of what the plan covers, and the plan's fee with its used part."""
    commitment = sum(amounts.rate(m.plan_price) * 1000 for m in METERS if m.plan_price)
    covered = lines.filter(pl.col("line_type") == COVERED)
    shared = ("account", "code", "product", "usage_type", "operation", "family", "region", "instance", "unit")
    hours = covered.group_by("begin", "until", *shared, "rate", maintain_order=True).agg(
        pl.sum("usage"), cost=-pl.col("cost").sum(), used=pl.col("plan_cost").sum()
    )
    negations = hours.drop("used").with_columns(line_type=pl.lit(NEGATION))
    fees = clock.join(
        hours.select("begin", "used"), on="begin", how="left", maintain_order="left"
    ).with_columns(
        line_type=pl.lit(PLAN_FEE),
        account=pl.lit(PAYER),
        code=pl.lit("ComputeSavingsPlans"),
        product=pl.lit("Savings Plans for AWS Compute usage"),
        usage_type=pl.lit("ComputeSP:1yrNoUpfront"),
        resource=pl.lit(PLAN_ARN),
        unit=pl.lit("Hrs"),
        usage=pl.lit(1000, dtype=pl.Int64),
        cost=pl.lit(commitment, dtype=pl.Int64),
        plan_used=pl.col("used").fill_null(0),
        plan_total=pl.lit(commitment, dtype=pl.Int64),
    )
    return pl.concat([negations, fees.drop("used")], how="diagonal")


def lines(start: date, end: date, seed: int) -> pl.DataFrame:
    """All usage from start to end (inclusive, UTC).

    Returns:
        One row a line item: begin, until (epoch s), line_type, meter, usage (thousandths), rate (1e-7 USD),
        cost, plan_cost, plan_used, plan_total (1e-10 USD), and the texts of the resource and its tags.
    """
    meters = _meters()
    hours, days = _clock(start, end, 3600), _clock(start, end, 86_400)
    hourly = pl.col("rhythm") != "daily"
    usage = (
        pl.concat(
            [
                hours.join(meters.filter(hourly), how="cross", maintain_order="left_right"),
                days.join(meters.filter(~hourly), how="cross", maintain_order="left_right"),
            ]
        )
        .with_columns(usage=_usage(seed))
        .filter(pl.col("usage") > 0)
        .with_columns(
            cost=pl.col("usage") * pl.col("rate"),
            plan_cost=pl.col("usage") * pl.col("plan_rate"),
            line_type=pl.when(pl.col("plan_rate").is_null()).then(pl.lit("Usage")).otherwise(pl.lit(COVERED)),
        )
    )
    return pl.concat([usage, _plan(usage, hours)], how="diagonal").sort("begin", maintain_order=True)


def month_end(lines: pl.DataFrame, month_begin: int, month_until: int) -> pl.DataFrame:
    """What AWS adds when it closes a month: tax on the payer (rounded to cents), a promotional credit."""
    cent = amounts.UNIT // 100
    taxed = lines.filter(pl.col("line_type") != NEGATION)["cost"].sum()
    tax = taxed * TAX_PERCENT // 100 // cent * cent
    rows = [
        {
            "line_type": "Tax",
            "account": PAYER,
            "code": "AmazonEC2",
            "product": "Amazon Elastic Compute Cloud",
            "usage_type": "",
            "usage": 1000,
            "cost": tax,
        },
        {
            "line_type": "Credit",
            "account": AWS_RESEARCH,
            "code": "AmazonEC2",
            "product": "Amazon Elastic Compute Cloud",
            "usage_type": "USE1-BoxUsage:p5.48xlarge",
            "usage": 1000,
            "cost": -CREDIT,
        },
    ]
    return pl.DataFrame(rows).with_columns(
        begin=pl.lit(month_begin, dtype=pl.Int64), until=pl.lit(month_until, dtype=pl.Int64)
    )


def bill(lines: pl.DataFrame) -> Bill:
    """The truth about the line items of a month."""
    effective = (
        pl.when(pl.col("line_type") == COVERED)
        .then("plan_cost")
        .when(pl.col("line_type") == NEGATION)
        .then(0)
        .when(pl.col("line_type") == PLAN_FEE)
        .then(pl.col("plan_total") - pl.col("plan_used"))
        .otherwise("cost")
    )
    team = pl.col("team").fill_null("")
    sums = lines.select(
        billed=pl.col("cost").sum(),
        effective=effective.sum(),
        untagged=effective.filter((team == "") & (pl.col("account") == AWS_PROD)).sum(),
        misspelt=effective.filter(team.is_in(list(MISSPELT))).sum(),
    ).row(0, named=True)
    return Bill(rows=lines.height, **{name: amounts.decimal(value) for name, value in sums.items()})
