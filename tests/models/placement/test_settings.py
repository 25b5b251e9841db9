"""What a declaration refuses, and that the example of the docstring is valid."""

import textwrap
from decimal import Decimal

import pytest
import yaml
from pydantic import ValidationError

from models.placement import settings
from models.placement.settings import Option, Workload


def example() -> Workload:
    text = settings.__doc__ or ""
    document = yaml.safe_load(textwrap.dedent(text[text.index("    workloads:") :]))
    return Workload.model_validate(document["workloads"]["support-chat"])


def test_the_example_of_the_docstring_is_valid_and_keeps_prices_exact():
    workload = example()
    assert sorted(workload.options) == ["dc1", "eu-api", "eu-cloud"]
    assert workload.options["dc1"].tariff_kwh == Decimal("0.12")
    assert workload.regulated == ("gdpr",)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"tier": "cloud", "gpus": 4}, "price_per_gpu_hour is missing"),
        ({"tier": "api", "price_per_1m_tokens_in": 2}, "go together"),
        ({"tier": "onprem", "power_kw": 2, "pue": 1.2}, "tariff_kwh missing"),
        ({"tier": "onprem", "capex": 10, "salvage": 11}, "salvage 11 is more than capex 10"),
        ({"tier": "cloud", "monthly_fee": 10, "salvage": 11}, "salvage is 11 and capex is missing"),
        ({"tier": "mainframe"}, "'cloud', 'api', 'onprem' or 'edge'"),
        ({"tier": "cloud", "price_per_gpu_hour": -1}, "greater than or equal to 0"),
        ({"tier": "cloud", "price": 1}, "Extra inputs are not permitted"),
        ({"tier": "onprem", "pue": 0.9}, "greater than or equal to 1"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_the_reason(option, said):
    with pytest.raises(ValidationError, match=said):
        Option.model_validate(option)


def test_current_must_be_one_of_the_options():
    with pytest.raises(ValidationError, match="current is 'dc2', which is not one of the options"):
        Workload.model_validate({"current": "dc2", "options": {"dc1": {"tier": "onprem"}}})


def test_a_workload_without_options_is_refused():
    with pytest.raises(ValidationError, match="at least 1"):
        Workload.model_validate({"options": {}})


@pytest.mark.parametrize("tier", ["cloud", "api", "onprem", "edge"])
def test_data_leaves_the_perimeter_by_tier_unless_stated(tier):
    assert Option(tier=tier).leaves_perimeter is (tier in ("cloud", "api"))
    assert Option(tier=tier, data_leaves_perimeter=True).leaves_perimeter is True
    assert Option(tier=tier, data_leaves_perimeter=False).leaves_perimeter is False
