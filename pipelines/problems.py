"""What is wrong with a configuration, told all at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

_SECRET = re.compile(r"pass|secret|token(?!s\b|_weights)|key|auth|header|bearer|cred", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/@\s]+@")

FILE_OR_LIST = ("assets", "prices", "rates", "revenue", "training_runs")
"""Keys of the configuration that name a file, or hold its content as a list."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the key's path, the value found there, and what is allowed."""

    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        """The problem on one line."""
        found = f" (found: {self.value})" if self.value else ""
        return f"{self.path}: {self.allowed}{found}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{file}: {len(problems)} {noun}\n" + "\n".join(f"  - {p}" for p in problems))


def problems_of(error: ValidationError, prefix: str = "", keys: Iterable[str] = ()) -> list[Problem]:
    """One problem for each error of a model, paths below `prefix`; values that may be secret are not shown.

    Args:
        error: What is wrong.
        prefix: Path of the model.
        keys: Its keys, to be named beside one that it has not.
    """
    found = []
    allowed = f"; the keys are {', '.join(keys)}" if keys else ""
    for item in error.errors(include_url=False):
        loc = list(item["loc"])
        if len(loc) > 1 and loc[0] in FILE_OR_LIST and isinstance(loc[1], str):
            form = loc.pop(1)
            if form == "str" and isinstance(item["input"], list | tuple):
                continue  # it is the list that is wrong
            if form != "str" and len(loc) == 1 and item["type"] in ("tuple_type", "list_type"):
                continue  # said of the file's name already
        path = ".".join(str(part) for part in loc if part != "[key]")
        path = f"{prefix}.{path}" if prefix and path else prefix or path or "(file)"
        given = item.get("input")
        shown = "" if item["type"] == "missing" or isinstance(given, dict | list | tuple) else repr(given)
        if _SECRET.search(path):
            shown = "(hidden)"
        shown = _LOGIN.sub("://(hidden)@", shown)
        text = {
            "extra_forbidden": "unknown key; remove it or correct its spelling"
            + (allowed if len(loc) == 1 else ""),
            "missing": "required, but absent",
            "string_type": "must be a CSV file, or a list" if path in FILE_OR_LIST else "must be text",
            "timezone_aware": "must have its offset from UTC, such as 2026-09-01T10:00:00+03:00",
            "tuple_type": "must be a list",
            "dict_type": "must be a map",
            "decimal_type": "must be a number",
        }.get(item["type"], item["msg"].removeprefix("Value error, "))
        found.append(Problem(path, shown[:200], text))
    return found
