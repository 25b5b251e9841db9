"""Which files are the current delivery of a month."""

from __future__ import annotations

from connectors.aws.manifests import locate, top_manifests
from connectors.base import Object

PERIOD = "cur/gpu/20260901-20261001"


def test_only_the_topmost_manifest_of_a_period_counts() -> None:
    keys = [
        f"{PERIOD}/gpu-Manifest.json",
        f"{PERIOD}/a1/gpu-Manifest.json",
        f"{PERIOD}/a2/gpu-Manifest.json",
        f"{PERIOD}/a2/gpu-1.csv.gz",
        "cur/gpu/20261001-20261101/gpu-Manifest.json",
        "cur/other/20260901-20261001/other-Manifest.json",
    ]
    assert top_manifests(keys) == [
        "cur/gpu/20260901-20261001/gpu-Manifest.json",
        "cur/gpu/20261001-20261101/gpu-Manifest.json",
        "cur/other/20260901-20261001/other-Manifest.json",
    ]


def test_location_at_the_period_folder() -> None:
    assert top_manifests(["a1/gpu-Manifest.json", "gpu-Manifest.json"]) == ["gpu-Manifest.json"]


def _found(manifest: str, present: list[str], wanted: list[str]) -> tuple[list[str], list[str]]:
    found, missing = locate(manifest, wanted, {k: Object(k, 1, k) for k in present})
    return [o.key for o in found], missing


def test_named_files_are_found_wherever_the_location_starts() -> None:
    wanted = [f"{PERIOD}/a2/gpu-1.csv.gz", f"{PERIOD}/a2/gpu-2.csv.gz"]
    starts = {"": f"{PERIOD}/", "cur/": "gpu/20260901-20261001/", f"{PERIOD}/": ""}
    for taken_off, folder in starts.items():
        present = [w.removeprefix(taken_off) for w in wanted]
        assert _found(f"{folder}gpu-Manifest.json", present, wanted) == (present, [])
    above = [f"backup/my-bucket/{w}" for w in wanted]
    assert _found(f"backup/my-bucket/{PERIOD}/gpu-Manifest.json", above, wanted) == (above, [])


def test_a_file_of_another_delivery_is_not_taken_for_a_missing_one() -> None:
    wanted = [f"{PERIOD}/a2/gpu-1.csv.gz"]
    present = [f"{PERIOD}/a1/gpu-1.csv.gz"]
    assert _found(f"{PERIOD}/gpu-Manifest.json", present, wanted) == ([], wanted)
