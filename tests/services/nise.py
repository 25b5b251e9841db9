"""Random bills of AWS, GCP and Azure by koku-nise, run as a tool in an environment of its own, never imported.

koku-nise has no option for a seed. What it generates is drawn from a seeded `random.Random` here and given to it as
a static report file; the rest (ids, accounts, regions) it draws itself, from Python's `random` and `uuid4`, which a
`sitecustomize` on its path seeds before it starts. So a seed always gives the same files.

Sums over what was generated belong to the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random

import yaml

from tests.services.environments import environment

PACKAGE = "koku-nise==5.4.4"
CURRENCIES = ("USD", "USD", "EUR", "JPY", "GBP")
WORDS = ("vision", "assist", 'say "hi", you', "größe", "a:b;c", "{}", "null", "x" * 200)
SEEDED = """import os, random, uuid
os_seeded = random.Random.seed
def seed(self, a=None, version=2):
    os_seeded(self, os.environ["NISE_SEED"] if a is None else a, version)
random.Random.seed = seed
random.seed(os.environ["NISE_SEED"])
uuid.uuid4 = lambda: uuid.UUID(int=random.getrandbits(128), version=4)
"""
"""Seeds `random`, every `random.Random()` (Faker has one of its own), and makes the ids of files from it."""

Generator = dict[str, dict[str, object]]


def binary() -> Path:
    """The tool; its environment is made on first use."""
    return environment(PACKAGE.replace("==", "-"), sys.executable, (PACKAGE,)) / "bin" / "nise"


def report(provider: str, seed: str, work: Path, spec: Mapping[str, object], *arguments: str | Path) -> None:
    """Generates one report from a static report file, with `work` as current folder."""
    work.mkdir(parents=True, exist_ok=True)
    for folder in ("tmp", "path"):
        (work.parent / f"{work.name}-{folder}").mkdir(exist_ok=True)
    path, tmp = work.parent / f"{work.name}-path", work.parent / f"{work.name}-tmp"
    (path / "sitecustomize.py").write_text(SEEDED)
    static = path / "static.yaml"
    static.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [binary(), "report", provider, "--static-report-file", static, *arguments],
        cwd=work, capture_output=True, text=True, check=False, timeout=120,
        env={
            "PATH": os.environ["PATH"], "HOME": str(tmp), "TMPDIR": str(tmp), "TZ": "UTC", "PYTHONUTF8": "1",
            "PYTHONPATH": str(path), "PYTHONHASHSEED": "0", "NISE_SEED": seed,
        },
    )  # fmt: skip
    assert done.returncode == 0, f"nise report {provider}, seed {seed}, {static}:\n{done.stdout}{done.stderr}"


def aws(seed: int, folder: Path) -> None:
    """Legacy CUR: one to three deliveries of one or two months, in one file each or several, open or final."""
    random = Random(f"aws {seed}")
    bucket = folder / "bucket"
    bucket.mkdir(parents=True)
    days = _days(random)
    payer = f"{random.randrange(10**9):012}"
    currency = random.choice(CURRENCIES)
    place = ["--aws-s3-bucket-name", str(bucket), "--aws-s3-report-name", "gpu"]
    place += random.choice(([], ["--aws-s3-report-prefix", "cur"], ["--aws-s3-report-prefix", "a/b"]))
    split = random.choice(([], ["--file-row-limit", str(random.choice((24, 50, 97)))]))
    for n in range(random.choice((1, 1, 2, 3))):
        spec = {
            "generators": _generators(random, AWS, days, (1, 6), _aws),
            "accounts": {"payer": payer, "user": [payer, "000000000042"], "currency_code": currency},
        }
        final = random.choice(([], ["--aws-finalize", "overwrite"]))
        report("aws", f"{seed}-{n}", folder / f"work{n}", spec, *place, *split, *final)


def gcp(seed: int, folder: Path) -> None:
    """BigQuery export, standard or by resource, CSV or JSON lines; credits, several currencies, shifted invoices."""
    random = Random(f"gcp {seed}")
    spec = {
        "generators": _generators(random, GCP, _days(random), (1, 5), _gcp),
        "projects": [
            {"billing_account_id": f"0{n}AA-BB", "project.id": f"p-{n}", "project.name": f"Project {n}"}
            for n in range(random.choice((1, 2)))
        ],
    }
    form = random.choice(([], ["--gcp-dataset-name", "not-uploaded"]))
    level = random.choice(([], ["--resource-level"]))
    report("gcp", str(seed), folder / "bucket", spec, "--write-monthly", *form, *level)


def azure(seed: int, folder: Path) -> None:
    """Cost export of a subscription or a resource group, one or two months."""
    random = Random(f"azure {seed}")
    bucket = folder / "bucket"
    bucket.mkdir(parents=True)
    spec = {
        "generators": _generators(random, AZURE, _days(random), (2, 12), _azure),
        "accounts": {"payer": "0AB1-sub", "user": ["x"], "currency_code": random.choice(CURRENCIES)},
    }
    place = ["--azure-container-name", str(bucket), "--azure-report-name", "cost"]
    place += random.choice(([], ["--azure-report-prefix", "exports"]))
    report("azure", str(seed), folder / "work", spec, *place, *random.choice(([], ["--resource-group"])))


BILLS: dict[str, Callable[[int, Path], None]] = {
    "aws_cur": aws,
    "gcp_billing_export": gcp,
    "azure_export": azure,
}
"""Kind of source -> writes a random bill into `bucket` of an empty folder."""

AWS = ("EC2", "EC2", "EBS", "S3", "RDS", "Route53", "VPC", "Marketplace", "DataTransfer")
GCP = ("ComputeEngine", "CloudStorage", "GCPNetwork", "GCPDatabase", "PersistentDisk", "HCS")
AZURE = ("Bandwidth", "CCSP", "SQL", "Storage", "VM", "VN", "DT", "ManagedDisk")


def _days(random: Random) -> tuple[date, date]:
    """One to three days, often over the end of a month or a year; the second date is not in it."""
    start = date(random.choice((2024, 2025)), random.randint(1, 12), random.randint(1, 28))
    if random.random() < 0.4:
        start = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return start, start + timedelta(days=random.randint(1, 3))


def _generators(
    random: Random,
    names: Sequence[str],
    days: tuple[date, date],
    number: tuple[int, int],
    attributes: Callable[[Random, str], dict[str, object]],
) -> list[Generator]:
    when = {"start_date": str(days[0]), "end_date": str(days[1])}
    chosen = random.choices(names, k=random.randint(*number))
    return [{f"{name}Generator": when | attributes(random, name)} for name in chosen]


def _amount(random: Random) -> float:
    """From billionths to millions, some with 17 digits, some whole, some negative."""
    amount = 10 ** random.uniform(-9, 5)
    amount = random.choice((amount, round(amount, 5) or 1e-5, float(int(amount) + 1)))
    return -amount if random.random() < 0.1 else amount


def _tags(random: Random) -> dict[str, str]:
    return {key: random.choice(WORDS) for key in random.sample(("team", "Project", "cost-center"), 2)}


def _aws(random: Random, name: str) -> dict[str, object]:
    attributes: dict[str, object] = {
        "amount": abs(_amount(random)),
        "rate": _amount(random),
        "cost": _amount(random),
        "tags": {f"resourceTags/user:{k}": v for k, v in _tags(random).items()},
    }
    if name == "DataTransfer":
        return attributes | random.choice(({}, {"saving": 0.5}, {"saving": 0.5, "negation": True}))
    if name not in ("EC2", "RDS"):
        return attributes
    special = random.choice(
        ("", "", "reserved_instance", "upfront_fee", "recurring_fee", "negation", "saving")
    )
    instance: dict[str, object] = {
        "inst_type": "p5.48xlarge", "physical_cores": 96, "vcpu": 192, "memory": "2 TiB", "storage": "EBS",
        "family": "GPU", "cost": _amount(random), "rate": _amount(random), "amount": random.choice((1, "0.25")),
    }  # fmt: skip
    if special:
        instance[special] = abs(_amount(random)) if special == "saving" else True
    return attributes | {"instance_type": instance}


def _gcp(random: Random, name: str) -> dict[str, object]:
    attributes: dict[str, object] = {"currency": random.choice(CURRENCIES)}
    if name != "PersistentDisk":
        attributes |= {"usage.amount": abs(_amount(random)), "usage.amount_in_pricing_units": _amount(random)}
    if random.random() < 0.7:
        attributes["price"] = abs(_amount(random))
    if random.random() < 0.5:
        attributes["credit_amount"] = -abs(_amount(random))
    if random.random() < 0.5:
        attributes["labels"] = [_tags(random)]
    if random.random() < 0.3:
        attributes["cost_type"] = random.choice(("tax", "adjustment", "rounding_error"))
        attributes["cost"] = _amount(random)
    if random.random() < 0.4:
        attributes["cross_over"] = {
            "days": random.choice(([1], [-1], [1, 2, -1])),
            "overwrite": random.random() < 0.5,
        }
    return attributes


def _azure(random: Random, name: str) -> dict[str, object]:
    del name
    attributes: dict[str, object] = {"resource_rate": _amount(random), "usage_quantity": _amount(random)}
    if random.random() < 0.5:
        attributes["pre_tax_cost"] = _amount(random)
    if random.random() < 0.7:
        attributes["tags"] = _tags(random)
    return attributes
