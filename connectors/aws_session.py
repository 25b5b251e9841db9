"""Sessions with AWS. What botocore knows of services is megabytes of JSON: read once, for all of them."""

from __future__ import annotations

from functools import cache
from typing import Any


def session() -> Any:
    """A session of botocore, whose credentials come from the environment or the profile, as those of boto3 do."""
    from botocore.session import get_session

    found = get_session()
    found.register_component("data_loader", _known(found.get_config_variable("data_path")))
    return found


@cache
def _known(folders: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(folders)
