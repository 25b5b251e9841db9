"""Quoting of text and of file names for SQL."""

from __future__ import annotations

from connectors.sql import files, identifier, literal


def test_quotes_are_doubled() -> None:
    assert literal("a'b") == "'a''b'"
    assert identifier('a"b') == '"a""b"'


def test_a_file_stands_for_itself_whatever_its_name() -> None:
    assert files(["/x/2026-1[01].csv", "/y/*?.csv"]) == "['/x/2026-1[[]01].csv', '/y/[*][?].csv']"
