"""What is wrong with a configuration, told all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

_SECRET = re.compile(r"pass|secret|token(?!s\b|_weights)|key|auth|header|bearer|cred", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/@\s]+@")

_DAY = "must be a day that exists, written as 2026-10-31"

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


SHOWN = 40
"""Problems that are told at once: one wrong column of a register is a problem of each of its lines."""


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds every reason."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        noun = "problem" if len(problems) == 1 else "problems"
        lines = [f"  - {p}" for p in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"  and {len(problems) - SHOWN} more; correct these, and run again")
        super().__init__(f"{file}: {len(problems)} {noun}\n" + "\n".join(lines))


def _forms(type_: Any) -> Iterator[Any]:
    """The alternatives of a type, without what annotates them."""
    if get_origin(type_) is Annotated:
        yield from _forms(get_args(type_)[0])
    elif get_origin(type_) in (Union, UnionType):
        for one in get_args(type_):
            yield from _forms(one)
    else:
        yield type_


def _is_model(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, BaseModel)


def _inside(form: Any, part: int | str) -> Iterator[Any]:
    """What a type holds at a key or index, as far as that has keys or indexes itself."""
    if _is_model(form):
        if part in form.model_fields:
            held = _forms(form.model_fields[str(part)].annotation)
            yield from (inner for inner in held if _is_model(inner) or get_args(inner))
    elif get_origin(form) is dict:
        yield from _forms(get_args(form)[1])
    elif get_origin(form) in (tuple, list) and isinstance(part, int):
        yield from _forms(get_args(form)[0])


def _unknown_key(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """What to write in place of a key that is not there, at whatever depth of a model."""
    forms: list[Any] = [model]
    for part in loc[:-1]:
        held = [inner for form in forms for inner in _inside(form, part)]
        named = [form for form in forms if getattr(form, "__name__", None) == part]
        forms = held or named or forms  # a part that is no key names the alternative that was tried
    keys = dict.fromkeys(key for form in forms if _is_model(form) for key in form.model_fields)
    near = get_close_matches(str(loc[-1]), keys, n=1)
    hint = f", perhaps to {near[0]}" if near else ""
    return f"unknown key; remove it or correct its spelling{hint}; the keys are {', '.join(keys)}"


def problems_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[Problem]:
    """One problem for each error of a model, paths below `prefix`; values that may be secret are not shown.

    Args:
        error: What is wrong.
        model: What was to be read.
        prefix: Path of the model.
    """
    found = []
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
            "missing": "required, but absent",
            "string_type": "must be a CSV file, or a list" if path in FILE_OR_LIST else "must be text",
            "timezone_aware": "must have its offset from UTC, such as 2026-09-01T10:00:00+03:00",
            "tuple_type": "must be a list",
            "dict_type": "must be a map",
            "decimal_type": "must be a number",
            "date_from_datetime_parsing": _DAY,
            "date_from_datetime_inexact": _DAY,
            "date_type": _DAY,
        }.get(item["type"], item["msg"].removeprefix("Value error, "))
        text = re.sub("^(Input|String) should ", "must ", text)
        if item["type"] == "extra_forbidden":
            text = _unknown_key(model, item["loc"])
        found.append(Problem(path, shown[:200], text))
    return found
