"""Layouts of the NVIDIA MIG User Guide, and ones that cards refuse."""

from __future__ import annotations

import pytest

from models.mig import misfit, share

A100_40, A100_80 = "NVIDIA A100-SXM4-40GB", "NVIDIA A100 80GB PCIe"
H100, H200, A30 = "NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA A30"


@pytest.mark.parametrize(
    ("model", "layout"),
    [
        (A100_40, ["1g.5gb"] * 7),
        (A100_40, ["1g.10gb"] * 4),
        (A100_40, ["3g.20gb", "2g.10gb", "1g.5gb"]),
        (A100_80, ["3g.40gb", "3g.40gb"]),
        (A100_80, ["4g.40gb", "2g.20gb", "1g.10gb+me"]),
        (H100, ["3g.40gb", "1g.10gb", "1g.10gb", "1g.10gb", "1g.10gb"]),
        (H100, ["2g.20gb", "2g.20gb", "3g.40gb"]),
        (H100, ["7g.80gb"]),
        (H200, ["4g.71gb", "3g.71gb"]),
        (H200, ["1g.18gb", "1g.18gb", "2g.35gb", "3g.71gb"]),
        (A30, ["2g.12gb", "1g.6gb", "1g.6gb"]),
        (A30, ["1g.6gb"] * 4),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", ["2g.48gb", "1g.24gb+gfx", "1g.24gb"]),
        ("NVIDIA H100", ["3g.47gb", "1g.12gb"]),  # of an H100 whose memory is not named
        ("NVIDIA Next", ["4g.500gb", "3g.500gb"]),
        (None, ["7g.80gb"]),
    ],
)
def test_layouts_that_fit(model: str | None, layout: list[str]) -> None:
    assert misfit(model, tuple(layout)) is None


@pytest.mark.parametrize(
    ("model", "layout", "words"),
    [
        # 3 + 3 + 1 of 7 compute slices, but 4 + 4 + 1 of 8 memory slices
        (H100, ["3g.40gb", "3g.40gb", "1g.10gb"], "needs 7 compute and 9 memory slices"),
        (H100, ["4g.40gb", "4g.40gb"], "needs 8 compute and 8 memory slices"),
        (H100, ["4g.40gb", "2g.20gb", "2g.20gb"], "needs 8 compute and 8 memory slices"),
        (H100, ["1g.10gb"] * 8, "needs 8 compute"),
        (H100, ["1g.20gb"] * 5, "needs 5 compute and 10 memory slices"),
        (H100, ["3g.20gb"], "has profiles that the card has not"),  # of an A100 40GB
        (A100_40, ["3g.40gb"], "allowed are 1g.5gb, 1g.10gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb on 7 compute and 8 memory"),
        (A100_40, ["1g.10gb"] * 5, "needs 5 compute and 10 memory slices"),
        (A100_80, ["1g.10gb+me", "1g.10gb+me"], "has 2 slices with media extensions, a card has one"),
        (H200, ["3g.71gb", "3g.71gb", "1g.18gb"], "needs 7 compute and 9 memory slices"),
        (A30, ["2g.12gb", "2g.12gb", "1g.6gb"], "needs 5 compute and 5 memory slices; allowed are 1g.6gb, 2g.12gb, 4g.24gb"),
        (A30, ["1g.10gb"], "has profiles that the card has not"),
        ("NVIDIA Next", ["4g.500gb", "4g.500gb"], "8 compute slices, a card has 7"),
        ("NVIDIA Next", ["half"], "is no profile such as 3g.40gb"),
    ],
)  # fmt: skip
def test_layouts_that_do_not_fit(model: str, layout: list[str], words: str) -> None:
    found = misfit(model, tuple(layout))
    assert found is not None
    assert found.startswith(f"{' + '.join(layout)} on {model}: ")
    assert words in found


@pytest.mark.parametrize(
    ("model", "profile", "part"),
    [
        (H100, "3g.40gb", 3 / 7),
        (H100, "1g.20gb", 1 / 7),
        (H100, "MIG 1c.4g.40gb", 4 / 7),
        (A30, "2g.12gb+me", 2 / 4),
        (A30, "3g.40gb", None),
        (H100, "9g.80gb", None),
        (H100, "", None),
        (H100, None, None),
        ("NVIDIA Next", "3g.500gb", 3 / 7),
        ("NVIDIA Next", "8g.500gb", None),
    ],
)
def test_the_share_of_a_slice(model: str, profile: str | None, part: float | None) -> None:
    assert share(model, profile) == part
