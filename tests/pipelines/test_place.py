"""The command `place`, on declared volumes alone: amounts by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines import small

CONFIG = (
    small.CONFIG
    + """
workloads:
  chat:
    current: api
    tokens_in_month: 100000000
    tokens_out_month: 20000000
    gpu_hours_month: 1000
    eval_passed: true
    options:
      api: {tier: api, price_per_1m_tokens_in: 2.50, price_per_1m_tokens_out: 10}
      own: {tier: onprem, capex: 36000, opex_month: 100, power_kw: 0, capacity_gpu_hours_month: 2920, migration_cost: 0}
  alarms:
    options:
      box: {tier: edge, capex: 0, opex_month: 7, power_kw: 0, migration_cost: 0}
"""
)


def place(folder: Path, *arguments: str) -> small.Done:
    file = folder / "tierwise.yaml"
    file.write_text(CONFIG)
    return small.tierwise("place", "--config", file, *arguments)


def test_growth_turns_the_answer(tmp_path: Path) -> None:
    # 250 + 200 = 450 a month by tokens against 36,000 / 36 + 100 = 1,100: stay. At 2.5 times 1,125 against 1,100, on cards
    # that serve 2,920 of 2,500 hours: 25 x 36 = 900 saved, a plan, since nothing is measured. At 3 times 3,000 are too many.
    done = place(tmp_path, "--workload", "chat", "--scale", "1,2.5,3", "--format", "json")
    found = json.loads(done.stdout)
    told = [(f["scale"], f["recommended_option"], f["status"], f["saving_36m"]) for f in found]
    assert [(*t[:3], t[3] and float(t[3])) for t in told] == [
        ("1", "api", "keep", 0.0),
        ("2.5", "own", "plan", 900.0),
        ("3", "api", "keep", 0.0),
    ]
    assert {o["option"] for o in found[0]["options"]} == {"api", "own"}


def test_all_workloads_for_a_person(tmp_path: Path) -> None:
    done = place(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "450.00" in done.stdout
    assert "chat x 1: keep" in done.stdout
    assert "alarms x 1:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workload", "nix"), "'nix' is no workload of"),
        (("--scale", "1,x"), "'x' is no multiple of a volume"),
        (("--scale", "0"), "write numbers above 0"),
        (("--scale", "NaN"), "'NaN' is no multiple"),
        (("--scale", "1_000"), "'1_000' is no multiple"),
    ],
)
def test_wrong_questions(tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    done = place(tmp_path, *arguments)
    assert (done.returncode, words in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_without_workloads(tmp_path: Path) -> None:
    file = tmp_path / "tierwise.yaml"
    file.write_text(small.CONFIG)
    done = small.tierwise("place", "--config", file)
    assert done.returncode == 2
    assert "no workloads are declared; add `workloads:`" in " ".join(done.stderr.split())
