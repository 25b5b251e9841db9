from __future__ import annotations

import pytest

from models.latency import merge, quantile

BUCKETS = {"0.1": 20.0, "0.5": 60.0, "1": 90.0, "+Inf": 100.0}


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (0.1, 0.05),  # rank 10 of the first 20: 0 + 0.1 x 10 / 20
        (0.5, 0.4),  # rank 50: 0.1 + 0.4 x (50 - 20) / 40
        (0.9, 1.0),  # rank 90 is the whole third bucket
        (0.95, 1.0),  # rank 95 is in +Inf: the highest finite bound
        (1, 1.0),
        (0, 0.0),
    ],
)
def test_quantile_is_interpolated(q: float, expected: float) -> None:
    assert quantile(BUCKETS, q) == pytest.approx(expected)


def test_order_of_bounds_does_not_matter() -> None:
    assert quantile(dict(reversed(BUCKETS.items())), 0.5) == quantile(BUCKETS, 0.5)


@pytest.mark.parametrize(
    "buckets", [{}, {"+Inf": 5.0}, {"1": 5.0}, {"1": 5.0, "2": 6.0}, {"1": 0.0, "+Inf": 0.0}]
)
def test_no_quantile_without_observations_or_an_open_bucket(buckets: dict[str, float]) -> None:
    assert quantile(buckets, 0.5) is None


def test_first_bucket_at_or_below_zero_gives_its_bound() -> None:
    assert quantile({"-1": 5.0, "1": 6.0, "+Inf": 6.0}, 0.5) == -1.0


def test_a_fall_is_raised_to_the_count_before() -> None:
    # 10, 9.9999, 20 counts as 10, 10, 20: rank 15 is half of 2-3
    assert quantile({"1": 10.0, "2": 9.9999, "3": 20.0, "+Inf": 20.0}, 0.75) == pytest.approx(2.5)


def test_everything_above_the_last_bound() -> None:
    assert quantile({"1": 0.0, "+Inf": 7.0}, 0.5) == 1.0


def test_q_out_of_range() -> None:
    with pytest.raises(ValueError, match="between 0 and 1, not 95"):
        quantile(BUCKETS, 95)


def test_what_counts_no_request_has_any_bounds() -> None:
    """A new version of a server has other bounds and no request yet: the others' percentiles are known."""
    idle, busy = '{"0.5": 0, "2": 0, "+Inf": 0}', '{"0.5": 1, "1": 3, "+Inf": 4}'
    assert merge([idle, busy, busy]) == merge([busy, idle, busy]) == {"0.5": 2, "1": 6, "+Inf": 8}
    assert merge([idle, idle]) == {"0.5": 0, "2": 0, "+Inf": 0}
    assert merge([idle, busy, None]) is None


def test_merge_adds_by_bound_and_not_by_spelling() -> None:
    got = merge(['{"0.5": 1, "+Inf": 2}', '{"0.50": 10, "+Inf": 20}'])
    assert got == {"0.5": 11.0, "+Inf": 22.0}


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [None],
        ['{"1": 1, "+Inf": 1}', '{"2": 1, "+Inf": 1}'],
        ['{"1": 1, "+Inf": 1}', None],
        [None, '{"1": 1, "+Inf": 1}'],
        ["{}"],
    ],
)
def test_nothing_to_merge_other_bounds_or_requests_without_a_histogram(texts: list[str | None]) -> None:
    assert merge(texts) is None


def test_quantile_of_the_sum_is_not_the_mean_of_quantiles() -> None:
    # pod a: 90 fast requests; pod b: 10 slow ones. Summed p50 is in the first bucket: 50 / 90 x 1 s
    a, b = '{"1": 90, "10": 90, "+Inf": 90}', '{"1": 0, "10": 10, "+Inf": 10}'
    assert quantile(merge([a, b]) or {}, 0.5) == pytest.approx(50 / 90)
