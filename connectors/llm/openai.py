"""Source kind `openai`: costs and usage of an OpenAI organisation, from its API or as saved answers of it.

Files of `/v1/organization/costs` (group by project_id and line_item) are a bill; files of
`/v1/organization/usage/completions` and `embeddings` (group by project_id and model, bucket_width 1h) are usage; CSV
files that the dashboard exports of either are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from connectors.base import SourceOptions
from connectors.llm import dashboard
from connectors.llm.organisation import Labels, OrganisationOptions, OrganisationReader
from connectors.llm.organisation_api import Api
from connectors.llm.pages import COSTS, USAGE


def plain_bucket(bucket: Any) -> Any:
    """A bucket whose results say what they are: some programs save them without `object`. An amount is a cost."""
    if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
        return bucket
    return bucket | {"results": [_said(r) for r in bucket["results"]]}


def _said(result: Any) -> Any:
    if not isinstance(result, dict) or result.get("object") is not None:
        return result
    if isinstance(result.get("amount"), dict):
        return result | {"object": COSTS}
    return (
        result | {"object": USAGE[0]}
        if {"input_tokens", "output_tokens", "num_model_requests"} <= {*result}
        else result
    )


OPENAI = Api(
    provider="OpenAI",
    url="https://api.openai.com/v1",
    root="organization",
    endpoints={
        "costs": {"bucket_width": "1d", "group_by": ["project_id", "line_item"], "limit": 180},
        "usage/completions": {"bucket_width": "1h", "group_by": ["project_id", "model"], "limit": 168},
        "usage/embeddings": {"bucket_width": "1h", "group_by": ["project_id", "model"], "limit": 168},
    },
    since="start_time",
    moment=lambda moment: int(moment.timestamp()),
    signed=lambda key: {"Authorization": f"Bearer {key}"},
    plain=plain_bucket,
    table=lambda text, uri: dashboard.pages(text, uri, COSTS, USAGE[:2]),
)
"""Its limits are the largest that it allows."""


class Options(OrganisationOptions):
    """Options of the kind.

    Attributes:
        projects: Project id -> its labels. Without a workload it is the model's name.
    """

    api: ClassVar[Api] = OPENAI
    projects: Mapping[str, Labels] = Field(default_factory=dict)

    @property
    def labels(self) -> Mapping[str, Labels]:
        """Those of the projects."""
        return self.projects


class OpenAIReader(OrganisationReader):
    """Answers of OpenAI's organisation API."""

    Options: ClassVar[type[SourceOptions]] = Options
    version = "openai-14"
    suffixes = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz")
