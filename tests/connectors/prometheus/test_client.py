"""What the client makes of answers good and bad."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from connectors.base import SourceError
from connectors.prometheus.client import Access, Client, describe
from tests.connectors.prometheus.server import Answer, error, ok, serve
from tests.services.prometheus import free_port

FIRST = datetime(2026, 9, 1, tzinfo=UTC)
LAST = FIRST + timedelta(hours=23)


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    """Clients to close at the end."""
    opened: list[Client] = []
    yield opened
    for client in opened:
        client.close()


def ask(url: str, clients: list[Client], **access: object) -> pl.DataFrame:
    clients.append(Client(Access(url, backoff_s=0.01, **access)))  # type: ignore[arg-type]
    return clients[-1].steps("up", FIRST, LAST, ["UUID"])


def points(params: dict[str, str]) -> list[dict[str, object]]:
    """A series that is 1 at each step asked for."""
    steps = range(int(params["start"]), int(params["end"]) + 1, int(params["step"]))
    return [{"metric": {"UUID": "g"}, "values": [[t, "1"] for t in steps]}]


def test_values_lie_in_the_hour_before_their_time(clients: list[Client]) -> None:
    with serve(lambda path, params: ok(points(params))) as (url, asked):
        frame = ask(url, clients)
    assert (int(asked[0]["start"]), int(asked[0]["end"])) == (
        int(FIRST.timestamp()) + 3600,
        int(LAST.timestamp()) + 3600,
    )
    assert frame["hour"].to_list() == [FIRST.replace(tzinfo=None) + timedelta(hours=h) for h in range(24)]
    assert frame.select("UUID", "value").unique().rows() == [("g", 1.0)]


def test_no_series_is_an_answer(clients: list[Client]) -> None:
    with serve(lambda path, params: ok([])) as (url, _):
        assert ask(url, clients).is_empty()


def test_busy_servers_are_asked_again(clients: list[Client]) -> None:
    answers = [(429, "slow down"), (502, "bad gateway"), (503, "starting")]

    def answer(path: str, params: dict[str, str]) -> Answer:
        return answers.pop(0) if answers else ok(points(params))

    with serve(answer) as (url, asked):
        assert ask(url, clients).height == 24
    assert len(asked) == 4


def test_a_server_that_stays_down(clients: list[Client]) -> None:
    with (
        serve(lambda path, params: (502, "bad gateway")) as (url, asked),
        pytest.raises(SourceError, match=r"failed after 2 repetitions.*502"),
    ):
        ask(url, clients, retries=2)
    assert len(asked) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        error(
            422, "execution", "query processing would load too many samples into memory in query execution"
        ),
        error(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries"),
        error(503, "timeout", "query timed out in expression evaluation"),
    ],
)
def test_questions_too_big_are_halved(clients: list[Client], refusal: Answer) -> None:
    def answer(path: str, params: dict[str, str]) -> Answer:
        return ok(points(params)) if int(params["end"]) - int(params["start"]) < 7 * 3600 else refusal

    with serve(answer) as (url, _):
        frame = ask(url, clients, retries=0)
    assert frame["hour"].to_list() == [FIRST.replace(tzinfo=None) + timedelta(hours=h) for h in range(24)]


def test_one_hour_too_big_is_an_error(clients: list[Client]) -> None:
    refusal = error(422, "execution", "query processing would load too many samples into memory")
    with (
        serve(lambda path, params: refusal) as (url, _),
        pytest.raises(SourceError, match=r"even for one hour.*max-samples"),
    ):
        ask(url, clients)


def test_bad_queries_fail_at_once(clients: list[Client]) -> None:
    refusal = error(400, "bad_data", 'parse error: unexpected "}"')
    with (
        serve(lambda path, params: refusal) as (url, asked),
        pytest.raises(SourceError, match=r"cannot run 'up'.*parse error.*matchers"),
    ):
        ask(url, clients)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, "<html><title>Sign in</title></html>"), "not JSON: it may be a login page"),
        ((200, '{"hello": "world"}'), "not Prometheus'"),
        ((401, "who are you"), r"refuses \(401\): correct `bearer_token`"),
        ((404, "page not found"), "404"),
    ],
)
def test_other_services_are_recognised(clients: list[Client], answer: Answer, words: str) -> None:
    with serve(lambda path, params: answer) as (url, _), pytest.raises(SourceError, match=words) as raised:
        ask(url, clients)
    assert url in str(raised.value)


def test_unreachable(clients: list[Client]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(
        SourceError, match=r"cannot be reached: .*[Cc]onnection refused.*correct `url`"
    ) as raised:
        ask(url, clients)
    assert url in str(raised.value)


def test_warnings_are_kept(clients: list[Client]) -> None:
    with serve(lambda path, params: ok(points(params), warnings=["store 10.0.0.7 unavailable"])) as (url, _):
        ask(url, clients)
    assert describe(clients[0].warnings) == 'partial data, the server warned: ["store 10.0.0.7 unavailable"]'
    assert describe(set()) == ""


def test_headers_and_login_are_sent(clients: list[Client]) -> None:
    with serve(lambda path, params: ok([])) as (url, asked):
        ask(url, clients, headers={"X-Scope-OrgID": "a"}, auth=("user", "pass"))
    assert asked[0]["header:X-Scope-OrgID"] == "a"
    assert asked[0]["header:Authorization"] == "Basic dXNlcjpwYXNz"
