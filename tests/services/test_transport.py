"""The way to a real Prometheus: TLS with a private authority, client certificates, passwords, tokens, limits, warnings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from connectors.base import Context, Loaded, SourceError, Window
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from pipelines.engines.duckdb import DuckDBEngine
from tests.pipelines import small
from tests.services.certificates import Authority, Pair
from tests.services.gateway import Gateway, serve
from tests.services.prometheus import prometheus
from tests.sites import Text

pytestmark = pytest.mark.service

DAY = date(2026, 9, 1)
PASSWORD = "s3cret-Passw0rd"
HASH = "$2b$04$abcdefghijklmnopqrstuuPQVvvqMas6iqx0qWD1.eeCuuO2Xa/jW"
"""bcrypt of the password, with the lowest cost."""

TOKEN, TENANT = "t0ken-of-nobody", "team-a"


def series(path: Path) -> Path:
    """Two days of two cards."""
    text, start = Text(), int(datetime(2026, 8, 31, 12, tzinfo=UTC).timestamp())
    for gpu, watts in (("g0", 600), ("g1", 300)):
        labels = {"UUID": gpu, "Hostname": "n1", "instance": "n1:9400", "modelName": "NVIDIA H100 80GB HBM3"}
        minutes = range(0, 48 * 60, 2)
        text.add(
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
            labels,
            ((start + 60 * m, 1e12 + watts * 6e4 * m) for m in minutes),
        )
        text.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, ((start + 60 * m, 0.5) for m in minutes))
    text.write(path)
    return path


def reader(url: str, folder: Path, **options: object) -> PrometheusReader:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone="UTC", tariff="0.1")})
    settings = {"kind": "prometheus", "url": url, "site": "dc1", "start": DAY} | options
    return PrometheusReader(Options.model_validate(settings), context)


def load(source: PrometheusReader, folder: Path) -> Loaded:
    slices = source.slices(Window(DAY, datetime(2026, 9, 3, tzinfo=UTC)))
    with DuckDBEngine() as engine:
        (loaded,) = source.load(slices, folder / "work", engine)
    return loaded


@dataclass(frozen=True)
class Secured:
    """A Prometheus that wants a client certificate and a password, and one that wants nothing, with the same series."""

    url: str
    plain: str
    ca: Authority
    client: Pair
    folder: Path

    def options(self, **more: object) -> dict[str, object]:
        """Options with which it answers, but for what is said."""
        given: dict[str, object] = {
            "ca_file": str(self.ca.cert), "cert_file": str(self.client.cert), "key_file": str(self.client.key),
            "username": "tierwise", "password": PASSWORD,
        }  # fmt: skip
        return {k: v for k, v in (given | more).items() if v is not None}


def web_config(server: Pair, ca: Authority) -> str:
    return f"""
tls_server_config:
  cert_file: {server.cert}
  key_file: {server.key}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {ca.cert}
basic_auth_users:
  tierwise: {HASH}
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    ca = Authority(folder, "ca")
    config = web_config(ca.issue("server"), ca)
    file = series(folder / "site.om")
    (folder / "plain").mkdir()
    with prometheus(file, folder, config, "https") as url, prometheus(file, folder / "plain") as plain:
        yield Secured(url, plain, ca, ca.issue("client", client=True), folder)


def test_client_certificate_and_password(secured: Secured, tmp_path: Path) -> None:
    found = load(reader(secured.url, tmp_path, **secured.options()), tmp_path)
    plain = load(reader(secured.plain, tmp_path / "plain"), tmp_path / "plain")
    assert found.facts.keys() == plain.facts.keys() == {"telemetry.gpu_hourly"}
    rows = pl.read_parquet(found.facts["telemetry.gpu_hourly"])
    assert_frame_equal(rows, pl.read_parquet(plain.facts["telemetry.gpu_hourly"]))
    # 24 hours of 600 W and 300 W
    assert dict(rows.group_by("gpu").agg(pl.col("energy_kwh").sum()).iter_rows()) == pytest.approx(
        {"g0": 14.4, "g1": 7.2}
    )
    checked = reader(secured.url, tmp_path, **secured.options(http_method="POST")).check()
    assert (
        checked
        == f"Prometheus {secured.url} answers: no GPU with DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION in the last day"
    )


def refused(url: str, folder: Path, **options: object) -> str:
    with pytest.raises(SourceError) as raised:
        reader(url, folder, **options).check()
    text = str(raised.value)
    assert PASSWORD not in text
    assert TOKEN not in text
    assert "PRIVATE KEY" not in text
    return text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"password": "wrong-Passw0rd"}, ("refuses (401)", "`username` and `password`")),
        ({"username": None, "password": None}, ("refuses (401)", "`username` and `password`")),
        ({"ca_file": None}, ("not trusted", "unable to get local issuer certificate", "`ca_file`")),
        ({"ca_file": "other"}, ("not trusted", "`ca_file`")),
        ({"cert_file": None, "key_file": None}, ("wants a certificate of ours", "`cert_file` and `key_file`")),
        ({"cert_file": "other", "key_file": "other"}, ("refuses our certificate", "`cert_file` and `key_file`")),
        ({"key_file": "other"}, ("cannot be used", "`cert_file` and `key_file`")),
        ({"key_file": "encrypted"}, ("is encrypted", "`key_file`")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_no_secret(
    secured: Secured, tmp_path: Path, given: dict[str, str | None], words: tuple[str, ...]
) -> None:
    other = Authority(tmp_path, "other-ca")
    foreign = other.issue("foreign", client=True)
    files = {
        ("ca_file", "other"): other.cert, ("cert_file", "other"): foreign.cert, ("key_file", "other"): foreign.key,
        ("key_file", "encrypted"): other.issue("locked", password=PASSWORD).key,
    }  # fmt: skip
    options = {k: str(files.get((k, v or ""), v)) if v is not None else None for k, v in given.items()}
    text = refused(secured.url, tmp_path, **secured.options(**options))
    assert secured.url in text
    for part in words:
        assert part in text


def test_a_name_or_time_that_does_not_fit(tmp_path: Path) -> None:
    ca = Authority(tmp_path, "ca")
    for pair, words in (
        (ca.issue("elsewhere", "127.0.0.9"), "another name"),
        (ca.issue("old", days=-1), "out of its time: certificate has expired"),
    ):
        with serve(Gateway("http://127.0.0.1:9", TOKEN, TENANT), pair) as gateway:
            text = refused(gateway.url, tmp_path, ca_file=str(ca.cert), bearer_token=TOKEN)
        assert words in text


def test_http_and_https_confused(secured: Secured, tmp_path: Path) -> None:
    assert "speaks no TLS" in refused(secured.plain.replace("http:", "https:"), tmp_path)
    assert "speaks TLS" in refused(secured.url.replace("https:", "http:"), tmp_path)


def test_the_command_prints_no_secret(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_PASSWORD", "wrong-Passw0rd")
    (tmp_path / "tierwise.yaml").write_text(
        f"""
sources:
  dc1: {{kind: prometheus, url: "{secured.url}", site: dc1, ca_file: {secured.ca.cert}, cert_file: {secured.client.cert},
         key_file: {secured.client.key}, username: tierwise, password: "${{PROMETHEUS_PASSWORD}}"}}
sites:
  dc1: {{time_zone: UTC, tariff: 0.1}}
"""
    )
    done = small.tierwise("check", "--config", tmp_path / "tierwise.yaml")
    assert done.returncode != 0
    assert "refuses (401)" in done.stdout + done.stderr
    assert "wrong-Passw0rd" not in done.stdout + done.stderr
    text = (tmp_path / "tierwise.yaml").read_text().replace("https://", "https://me:wrong-Passw0rd@")
    (tmp_path / "tierwise.yaml").write_text(text)
    done = small.tierwise("check", "--config", tmp_path / "tierwise.yaml")
    assert done.returncode == 2
    assert "a URL must not hold a login" in done.stdout + done.stderr
    assert "wrong-Passw0rd" not in done.stdout + done.stderr


@pytest.fixture
def gateway(secured: Secured, tmp_path: Path) -> Iterator[Gateway]:
    with serve(Gateway(secured.plain, TOKEN, TENANT), secured.ca.issue("gateway")) as running:
        yield running


def through(gateway: Gateway, secured: Secured, folder: Path, **options: object) -> PrometheusReader:
    given = {
        "ca_file": str(secured.ca.cert), "bearer_token": TOKEN, "headers": {"X-Scope-OrgID": TENANT}
    }  # fmt: skip
    return reader(gateway.url, folder, **(given | options))


def test_token_and_tenant(
    gateway: Gateway, secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a .netrc with another login for the host does not come in between
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    found = load(through(gateway, secured, tmp_path), tmp_path)
    plain = load(reader(secured.plain, tmp_path / "plain"), tmp_path / "plain")
    assert_frame_equal(*(pl.read_parquet(x.facts["telemetry.gpu_hourly"]) for x in (found, plain)))
    for wrong in ({"bearer_token": "wr0ng"}, {"headers": {"X-Scope-OrgID": "team-b"}}):
        with pytest.raises(
            SourceError, match=r"refuses \(401\): correct `bearer_token`, `headers`"
        ) as raised:
            through(gateway, secured, tmp_path, **wrong).check()
        assert TOKEN not in str(raised.value)
        assert "wr0ng" not in str(raised.value)


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_it_is_told(
    gateway: Gateway, secured: Secured, tmp_path: Path, status: int
) -> None:
    gateway.failures = [(status, "2")]
    assert "answers: no GPU" in through(gateway, secured, tmp_path).check()
    (first, _), (second, _) = gateway.asked
    assert second - first >= 2


def test_slow_answers_are_asked_for_in_parts(gateway: Gateway, secured: Secured, tmp_path: Path) -> None:
    gateway.slow_h, gateway.delay_s, gateway.slow_left = 40, 1.3, 2  # asked twice, then in halves
    found = load(through(gateway, secured, tmp_path, timeout_s=1), tmp_path)
    assert gateway.slow_left == 0
    plain = load(reader(secured.plain, tmp_path / "plain"), tmp_path / "plain")
    assert_frame_equal(*(pl.read_parquet(x.facts["telemetry.gpu_hourly"]) for x in (found, plain)))


def limited(folder: Path, samples: int) -> contextlib.AbstractContextManager[str]:
    """A Prometheus that loads at most so many samples at once."""
    return prometheus(series(folder / "site.om"), folder, flags=[f"--query.max-samples={samples}"])


def test_too_many_samples_are_asked_for_in_parts(secured: Secured, tmp_path: Path) -> None:
    """Two cards have 60 samples an hour, a window of them is loaded at a time; 72 hours of answers are 144 points."""
    with limited(tmp_path, 100) as url:
        found = load(reader(url, tmp_path), tmp_path)
    plain = load(reader(secured.plain, tmp_path / "plain"), tmp_path / "plain")
    assert_frame_equal(*(pl.read_parquet(x.facts["telemetry.gpu_hourly"]) for x in (found, plain)))


def test_one_hour_that_is_too_much(tmp_path: Path) -> None:
    with (
        limited(tmp_path, 10) as url,
        pytest.raises(SourceError, match=r"even for one hour: .*query\.max-samples"),
    ):
        load(reader(url, tmp_path), tmp_path)


def test_warnings_of_a_real_server_are_kept(tmp_path: Path) -> None:
    """A Prometheus whose remote storage does not answer tells what it has, and warns."""
    remote = 'remote_read: [{url: "http://127.0.0.1:9/read", read_recent: true, remote_timeout: 1s}]\n'
    with prometheus(series(tmp_path / "site.om"), tmp_path, more_config=remote) as url:
        found = load(reader(url, tmp_path), tmp_path)
    assert found.rows_loaded == 48
    assert "partial data, the server warned" in found.note
    assert "connection refused" in found.note
    assert found.issues.select("action", "rule", "rows").rows() == [("flagged", "partial_data", 48)]
