"""Sessions with AWS. What botocore knows of services is megabytes of JSON: read once, for all of them."""

from __future__ import annotations

from functools import cache
from typing import Any


def session(credentials: Any = None, profile: str | None = None) -> Any:
    """A session of boto3.

    Args:
        credentials: Botocore's resolver of credentials; absent: boto3 finds them, in the environment or the profile.
        profile: Name of a profile in AWS's own files; absent: the one that the environment names.
    """
    from boto3.session import Session
    from botocore.session import get_session

    found = get_session()
    if profile is not None:
        found.set_config_variable("profile", profile)
    found.register_component("data_loader", _known(found.get_config_variable("data_path")))
    if credentials is not None:
        found.register_component("credential_provider", credentials)
    return Session(botocore_session=found)


@cache
def _known(folders: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(folders)
