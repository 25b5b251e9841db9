from __future__ import annotations

from io import StringIO

import polars as pl
import pytest
from rich.console import Console

from pipelines.query import write_result
from pipelines.terminal import escape, visible

HOSTILE = "vision\x1b]0;owned\x07\x9b31m\rfree\u202e[bold]"
SHOWN = r"vision\x1b]0;owned\x07\x9b31m\rfree\u202e[bold]"


def test_text_of_a_bill_commands_no_terminal() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("δοκιμή\t🤖\nnext") == "δοκιμή\t🤖\nnext"
    out = StringIO()
    Console(file=out).print(escape(HOSTILE), soft_wrap=True)
    assert out.getvalue() == SHOWN + "\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_of_a_query_commands_no_terminal(terminal: bool) -> None:
    out = StringIO()
    frame = pl.DataFrame({HOSTILE: [HOSTILE]})
    write_result(
        frame, "table", None, Console(file=out, width=200, force_terminal=terminal, color_system=None)
    )
    assert out.getvalue().count(SHOWN) == 2
    assert not set(out.getvalue()) & set("\x07\x9b\r\u202e")
