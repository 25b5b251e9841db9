"""Which MIG slices a card can be cut into, and whether a layout of slices fits it.

Source: NVIDIA MIG User Guide, Supported MIG Profiles. A profile takes whole compute and memory slices; a layout fits
where every profile finds a place that the card offers, none over another. `3g` takes 4 of 8 memory slices: two of them
leave one of 7 compute slices that no profile can use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

GENERIC = 7
"""Compute slices of a card that is not listed: those of every data-centre card that is."""


@dataclass(frozen=True)
class Profile:
    """One kind of slice: compute slices, memory slices, and the memory slices at which it can start."""

    compute: int
    memory: int
    starts: tuple[int, ...]


SEVEN = (
    Profile(1, 1, (0, 1, 2, 3, 4, 5, 6)),
    Profile(1, 2, (0, 2, 4, 6)),
    Profile(2, 2, (0, 2, 4)),
    Profile(3, 4, (0, 4)),
    Profile(4, 4, (0,)),
    Profile(7, 8, (0,)),
)
FOUR = (Profile(1, 1, (0, 1, 2, 3)), Profile(2, 2, (0, 2)), Profile(4, 4, (0,)))
WIDE = Profile(1, 2, (0, 2))
TWO = (Profile(1, 1, (0, 1)), Profile(2, 2, (0,)))


@dataclass(frozen=True)
class Card:
    """A card that can be cut.

    Attributes:
        compute: Compute slices.
        memory: Memory slices.
        profiles: Name without media extensions -> what it takes.
    """

    compute: int
    memory: int
    profiles: dict[str, Profile]


def _card(*profiles: tuple[Profile, int]) -> Card:
    """A card of profiles and their GB, the whole card last."""
    whole = profiles[-1][0]
    return Card(whole.compute, whole.memory, {f"{p.compute}g.{gb}gb": p for p, gb in profiles})


def _seven(one: int, two: int, half: int, whole: int) -> Card:
    return _card(*zip(SEVEN, (one, two, two, half, half, whole), strict=True))


CARDS: dict[str, dict[str, Card]] = {
    r"\bA[18]00\b": {"40": _seven(5, 10, 20, 40), "80": _seven(10, 20, 40, 80)},
    r"\bH[18]00\b": {
        "80": _seven(10, 20, 40, 80), "94": _seven(12, 24, 47, 94), "96": _seven(12, 24, 48, 96),
        "64": _seven(8, 16, 32, 64),
    },
    r"\bH20\b": {"96": _seven(12, 24, 48, 96), "141": _seven(18, 35, 71, 141)},
    r"\bH200\b": {"141": _seven(18, 35, 71, 141)},
    r"\bGH200\b": {"96": _seven(12, 24, 48, 96), "144": _seven(18, 36, 72, 144)},
    r"\bB200\b": {"180": _seven(23, 45, 90, 180)},
    r"\bGB200\b": {"180": _seven(23, 45, 90, 180), "186": _seven(24, 47, 95, 189)},
    r"\bG?B300\b": {"269": _seven(34, 67, 135, 269)},
    r"\bA30\b": {"24": _card(*zip(FOUR, (6, 12, 24), strict=True))},
    r"RTX PRO 6000": {"96": _card((WIDE, 48), *zip(FOUR, (24, 48, 96), strict=True))},
    r"RTX PRO 5000": {"48": _card(*zip(TWO, (24, 48), strict=True))},
    r"RTX PRO 4500": {"32": _card(*zip(TWO, (16, 32), strict=True))},
}  # fmt: skip
"""Model as the driver names it (regular expression) -> memory in GB -> the card."""


def cards(model: str | None) -> tuple[Card, ...]:
    """The cards that a model may be: that of its memory where its name tells it, else of all sizes; none unlisted."""
    for pattern, sizes in CARDS.items():
        if model is not None and re.search(pattern, model):
            named = tuple(card for gb, card in sizes.items() if re.search(rf"\b{gb}GB?\b", model))
            return named or tuple(sizes.values())
    return ()


@cache
def share(model: str | None, profile: str | None) -> float | None:
    """The share of its card that a slice has: its compute slices by those of the card; None where it is no slice of it."""
    name, found = _plain(profile), cards(model)
    if not found:
        slices = re.match(r"(\d+)g\.", name)
        return int(slices[1]) / GENERIC if slices and 1 <= int(slices[1]) <= GENERIC else None
    return next((c.profiles[name].compute / c.compute for c in found if name in c.profiles), None)


@cache
def misfit(model: str | None, layout: tuple[str, ...]) -> str | None:
    """Why slices that are there at once do not fit a card, and what does; None where they do.

    Args:
        model: Of the card, as the driver names it.
        layout: Profiles of the slices.
    """
    found, names = cards(model), [_plain(p) for p in layout]
    shown = f"{' + '.join(layout)} on {model or 'a card without a model'}"
    if not found:
        shares = [share(model, p) for p in layout]
        if None in shares:
            return f"{shown}: is no profile such as 3g.40gb"
        slices = sum(round(s * GENERIC) for s in shares if s is not None)
        return f"{shown}: {slices} compute slices, a card has {GENERIC}" if slices > GENERIC else None
    media = sum("+me" in p.lower() for p in layout)
    if any(fits(c, names) for c in found) and media <= 1:
        return None
    allowed = "; or ".join(
        f"{', '.join(c.profiles)} on {c.compute} compute and {c.memory} memory slices" for c in found
    )
    taken = [[c.profiles[n] for n in names if n in c.profiles] for c in found]
    needs = max(taken, key=len)
    why = f"needs {sum(p.compute for p in needs)} compute and {sum(p.memory for p in needs)} memory slices"
    if media > 1:
        why = f"has {media} slices with media extensions, a card has one"
    elif len(needs) < len(names):
        why = "has profiles that the card has not"
    return f"{shown}: {why}; allowed are {allowed}"


def _plain(profile: str | None) -> str:
    """A profile's name without its compute instance and extensions: `1c.3g.20gb` and `3g.20gb+me` are `3g.20gb`."""
    found = re.fullmatch(r"(?:mig[ -])?(?:\d+c\.)?(\d+g\.\d+gb)(?:[+.-].*)?", (profile or "").strip().lower())
    return found[1] if found else ""


def memory_gb(profile: str) -> int:
    """Nominal memory of a profile such as `3g.40gb`, GB."""
    return int(_plain(profile).partition(".")[2].removesuffix("gb"))


def fits(card: Card, names: Sequence[str], taken: frozenset[int] = frozenset()) -> bool:
    """Whether the profiles find places beside each other, the largest first."""
    if not names:
        return True
    if any(n not in card.profiles for n in names):
        return False
    first, *rest = sorted(names, key=lambda n: -card.profiles[n].memory)
    profile = card.profiles[first]
    places = [frozenset(range(at, at + profile.memory)) for at in profile.starts]
    return any(not place & taken and fits(card, rest, taken | place) for place in places)
