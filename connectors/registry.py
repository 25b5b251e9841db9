"""Which class reads which kind of source. A new source is one new folder and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from connectors.base import Reader

KINDS: dict[str, str] = {
    "aws_cur": "connectors.aws.reader:CurReader",
    "aws_cur2": "connectors.aws.cur2:Cur2Reader",
    "gcp_billing_export": "connectors.gcp.reader:GcpReader",
    "azure_export": "connectors.azure.reader:AzureReader",
    "oci_cost_report": "connectors.oci.reader:OciReader",
    "focus": "connectors.focus.reader:FocusReader",
    "prometheus": "connectors.prometheus.reader:PrometheusReader",
    "cloudwatch": "connectors.cloudwatch.reader:CloudWatchReader",
    "telemetry_files": "connectors.telemetry_files.reader:TelemetryFilesReader",
    "edge_files": "connectors.edge.reader:EdgeFilesReader",
    "edge_prometheus": "connectors.edge.series_reader:EdgePrometheusReader",
    "litellm": "connectors.llm.litellm:LiteLLMReader",
    "anthropic": "connectors.llm.anthropic:AnthropicReader",
    "openai": "connectors.llm.openai:OpenAIReader",
}


def reader_class(kind: str) -> type[Reader]:
    """The class that reads a kind; imported when asked for, so that a run loads only what it uses.

    Raises:
        KeyError: There is no such kind.
    """
    module, name = KINDS[kind].split(":")
    return cast("type[Reader]", getattr(import_module(module), name))
