"""OCI services -> FOCUS service category, for the services that make up most bills; facts, no logic."""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "GENERATIVE_AI", "GENERATIVE_AI_AGENTS", "AI_LANGUAGE", "AI_SPEECH", "AI_VISION", "AI_DOCUMENT",
        "DATA_SCIENCE", "DATASCIENCE", "DIGITAL_ASSISTANT",
    ),
    "Analytics": ("ANALYTICS", "OAC", "BIG_DATA", "BIGDATA", "DATA_FLOW", "DATAFLOW", "DATA_CATALOG", "STREAMING"),
    "Compute": ("COMPUTE", "FUNCTIONS", "FAAS", "CONTAINER_INSTANCES", "CONTAINERENGINE", "OKE", "VMWARE"),
    "Databases": ("DATABASE", "AUTONOMOUS_DATABASE", "ADW", "ATP", "MYSQL", "NOSQL", "NOSQL_DATABASE", "POSTGRESQL", "REDIS"),
    "Developer Tools": ("DEVOPS", "VISUAL_BUILDER"),
    "Identity": ("IDENTITY",),
    "Integration": ("INTEGRATION", "ORACLE_INTEGRATION", "API_GATEWAY", "NOTIFICATIONS", "QUEUE"),
    "Management and Governance": ("LOGGING", "MONITORING", "TELEMETRY", "LOGGING_ANALYTICS", "OPERATIONS_INSIGHTS"),
    "Networking": ("NETWORK", "NETWORKING", "LOAD_BALANCER", "LB", "VPN", "FASTCONNECT", "DNS", "NETWORK_FIREWALL"),
    "Security": ("VAULT", "KMS", "WAF", "CLOUD_GUARD", "BASTION", "DATA_SAFE"),
    "Storage": ("BLOCK_STORAGE", "OBJECTSTORE", "OBJECT_STORAGE", "FILE_STORAGE", "ARCHIVE_STORAGE"),
}  # fmt: skip
"""FOCUS ServiceCategory -> values of product/service; every other service is `Other`."""
