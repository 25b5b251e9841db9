"""Azure meter categories and service families -> FOCUS service category; facts, no logic."""

from __future__ import annotations

from collections.abc import Mapping

METERS: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "azure openai", "azure openai service", "cognitive services", "foundry models", "azure ai services",
        "azure machine learning", "machine learning service", "machine learning studio", "azure ai search",
        "azure cognitive search", "azure bot service", "azure ai foundry",
    ),
    "Compute": (
        "virtual machines", "virtual machines licenses", "azure app service", "functions", "container instances",
        "azure kubernetes service", "azure container apps", "container registry", "cloud services", "batch",
    ),
    "Databases": (
        "sql database", "sql managed instance", "azure cosmos db", "azure database for postgresql",
        "azure database for mysql", "redis cache", "azure managed redis",
    ),
    "Networking": (
        "bandwidth", "virtual network", "load balancer", "vpn gateway", "expressroute", "azure dns",
        "content delivery network", "application gateway", "azure firewall", "azure front door service", "nat gateway",
    ),
    "Management and Governance": ("azure monitor", "log analytics", "automation", "support", "backup"),
    "Security": ("key vault", "microsoft defender for cloud", "azure ddos protection", "sentinel"),
    "Storage": ("storage", "azure netapp files", "azure data lake storage"),
}  # fmt: skip
"""FOCUS ServiceCategory -> values of MeterCategory, in lower case."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": ("ai + machine learning",),
    "Analytics": ("analytics",),
    "Compute": ("compute", "containers"),
    "Databases": ("databases",),
    "Developer Tools": ("developer tools",),
    "Identity": ("identity",),
    "Integration": ("integration",),
    "Internet of Things": ("internet of things",),
    "Management and Governance": ("management and governance",),
    "Media": ("media",),
    "Migration": ("migration",),
    "Mobile": ("mobile",),
    "Networking": ("networking",),
    "Security": ("security",),
    "Storage": ("storage",),
    "Web": ("web",),
}
"""FOCUS ServiceCategory -> values of ServiceFamily, in lower case; consulted where the meter is not known."""
