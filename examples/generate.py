"""Writes the demo: the configuration and about 60 days of native inputs of a made-up company.

The same seed, end and number of days give the same bytes. What each input looks like belongs to its own
module; running Tierwise on it, to `pipelines/cli.py`.
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, timedelta
from pathlib import Path

from examples import bills_focus, business, cur_bucket, edge_fleet, gpu_site, llm, register
from examples.faults import DARK_DEVICE, GAP_NODE, LLM_RESET_POD, RESET_NODE, moments
from examples.truth import Faults, Truth

CONFIG = Path(__file__).with_name("tierwise.yaml")


def write(target: Path, end: date, days: int = 60, seed: int = 7) -> Truth:
    """Writes `target/tierwise.yaml` and `target/inputs`, in place of any inputs that are there.

    Args:
        target: Folder of the demo; made where absent. Nothing else in it is touched.
        end: Last day of every input.
        days: Number of days, at least 2.
        seed: Seed of all noise.

    Returns:
        What is known about the inputs.

    Raises:
        ValueError: `days` is less than 2.
    """
    if days < 2:
        msg = f"days is {days}; the demo needs at least 2, so that counters have something to differ from"
        raise ValueError(msg)
    start = end - timedelta(days=days - 1)
    broken = moments(start, end)
    inputs = target / "inputs"
    if inputs.exists():
        shutil.rmtree(inputs)
    inputs.mkdir(parents=True)
    shutil.copyfile(CONFIG, target / "tierwise.yaml")
    register.write(inputs / "assets.csv", start)
    business.write_runs(inputs / "training-runs.csv", start, end)
    business.write_revenue(inputs / "revenue.csv", start, end)
    aws = cur_bucket.write(inputs / "aws", start, end, seed)
    focus = bills_focus.write(inputs / "gcp-focus", start, end, seed)
    energy = gpu_site.write(inputs / "dc1", start, end, seed, broken)
    chat = llm.write(inputs / "dc1-llm", llm.AT_DC1, start, end, seed=seed, broken=broken)
    pages = llm.write(inputs / "cloud-llm", llm.IN_CLOUD, start, end, seed=seed, broken=broken)
    fleet = edge_fleet.write(inputs / "plant2", start, end, seed, broken)
    return Truth(
        start=start,
        end=end,
        aws=aws,
        focus=focus,
        gpu_energy_kwh=energy,
        inference={**chat, **pages},
        edge_inferences=fleet.inferences,
        faults=Faults(
            gap_node=GAP_NODE,
            gap_start=broken.gap_start,
            gap_end=broken.gap_end,
            reset_node=RESET_NODE,
            reset_at=broken.reset_at,
            llm_reset_pod=LLM_RESET_POD,
            llm_reset_at=broken.llm_reset_at,
            edge_duplicates=fleet.duplicates,
            edge_late=fleet.late,
            dark_device=DARK_DEVICE,
            dark_after=fleet.dark_after.astimezone(UTC),
        ),
    )
