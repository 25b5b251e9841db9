"""Regions of Azure: exports of an Enterprise Agreement call `eastus` `US East`, others `East US` or `eastus`."""

from __future__ import annotations

from connectors.sql import literal

COUNTRIES = {
    "ae": "uae", "at": "austria", "au": "australia", "be": "belgium", "br": "brazil", "ca": "canada", "ch": "switzerland",
    "cl": "chile", "cn": "china", "de": "germany", "dk": "denmark", "es": "spain", "fi": "finland", "fr": "france",
    "id": "indonesia", "il": "israel", "it": "italy", "ja": "japan", "kr": "korea", "mx": "mexico", "my": "malaysia",
    "no": "norway", "nz": "newzealand", "pl": "poland", "qa": "qatar", "se": "sweden", "tw": "taiwan",
}  # fmt: skip
"""How an Enterprise Agreement abbreviates what the names of regions begin with; others are written as they are."""

DIRECTIONS = ("central", "central2", "east", "east2", "east3", "north", "north2", "north3", "northeast", "south", "southeast", "west", "westcentral")  # fmt: skip
"""What follows it."""

TURNED = {
    **{f"us{d}": f"{d}us" for d in ("central", "east", "north central", "south central", "west", "west central")},
    **{f"us{d}{n}": f"{d}us{n}" for d in ("east", "west") for n in (2, 3)},
    **{f"in{d}": f"{d}india" for d in ("central", "south", "west")},
    "apeast": "eastasia", "apsoutheast": "southeastasia", "eunorth": "northeurope", "euwest": "westeurope",
}  # fmt: skip
"""Names that say the country first, where the region says it last."""

TURNED_IDS = {name.replace(" ", ""): region.replace(" ", "") for name, region in TURNED.items()}
SHORT = f"[a-z]{{2}}({'|'.join([*DIRECTIONS, *(name[2:] for name in TURNED_IDS)])})"

NO_REGION = "unassigned|unknown|(.* )?zone ?[0-9]|inter-?continental"
"""What stands in the place of a region and is none: traffic is billed by zones of countries, `Zone 1`, `DE Zone 2`."""


def region_name(place: str) -> str:
    """SQL: the name of a place; NULL where it is no region.

    Args:
        place: SQL text of the name.
    """
    return f"CASE WHEN NOT regexp_full_match(lower({place}), {literal(NO_REGION)}) THEN {place} END"


def region_id(place: str) -> str:
    """SQL: the id of a region, from any of its names.

    Args:
        place: SQL text of the name.
    """
    bare = f"lower(replace({place}, ' ', ''))"
    turned = " ".join(f"WHEN {literal(name)} THEN {literal(region)}" for name, region in TURNED_IDS.items())
    begins = " ".join(f"WHEN {literal(short)} THEN {literal(name)}" for short, name in COUNTRIES.items())
    found = f"CASE {bare} {turned} ELSE CASE left({bare}, 2) {begins} END || substr({bare}, 3) END"
    return f"CASE WHEN regexp_full_match({bare}, {literal(SHORT)}) THEN COALESCE({found}, {bare}) ELSE {bare} END"
