"""Lumen Orchard, a made-up company: its teams, workloads, accounts, sites and hardware. Nothing here is real.

How each input is written belongs to the module of that input; what Tierwise is told about all this, to
`tierwise.yaml`.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

PAYER = "000412908831"
AWS_PROD = "004210987654"
AWS_RESEARCH = "000391827465"
"""The research account has a default team in `tierwise.yaml`; the production account has none."""

GCP_BILLING = "01A4C7-9B2E55-77D0F1"

DC1_ZONE = ZoneInfo("Europe/Athens")
PLANT2_ZONE = ZoneInfo("Asia/Kolkata")


@dataclass(frozen=True)
class Owner:
    """Who a resource works for, in the spelling of the tags; an empty text is a missing tag."""

    team: str = ""
    project: str = ""
    environment: str = ""
    workload: str = ""
    workload_type: str = ""


NOBODY = Owner()
SUPPORT_CHAT = Owner("assist", "customer-care", "prod", "support-chat", "realtime_inference")
HELP_SEARCH = Owner("assist", "customer-care", "prod", "help-search", "realtime_inference")
CATALOGUE_COPY = Owner("assist", "marketplace", "prod", "catalogue-copy", "batch_inference")
FRAUD_SCORING = Owner("risk", "payments", "prod", "fraud-scoring", "realtime_inference")
FRAUD_EVAL = Owner("risk", "payments", "staging", "fraud-scoring", "evaluation")
DOC_EXTRACT = Owner("documents", "back-office", "prod", "doc-extract", "batch_inference")
LAYOUT_LAB = Owner("documents", "back-office", "dev", "layout-lab", "prototyping")
VISION_TRAINING = Owner("vision", "line-quality", "dev", "vision-training", "training")
LINE_INSPECTION = Owner("vision", "line-quality", "prod", "line-inspection", "edge_inference")
LLM_TUNING = Owner("research", "foundation", "dev", "llm-tuning", "fine_tuning")
NOTEBOOKS = Owner("research", "foundation", "dev", "notebooks", "prototyping")
DATA_LAKE = Owner("platform", "data-lake", "prod", "data-lake", "data_processing")

MISSPELT = {"Assit": "assist", "VISION ": "vision", "doc-team": "documents"}
"""Spellings of teams in tags that only the aliases of `tierwise.yaml` put right."""


@dataclass(frozen=True)
class Holder:
    """What holds one card or MIG slice of dc1, and how hard it works.

    Attributes:
        card: Number of the card, 0-15; four to a node.
        load: A load shape of `gpu_site.LOADS`.
        owner: Who holds it; None where nobody does.
        namespace: Kubernetes namespace.
        pod: Pod.
        mig_profile: Of the slice.
        mig_id: Of the slice.
    """

    card: int
    load: str
    owner: Owner | None
    namespace: str = ""
    pod: str = ""
    mig_profile: str = ""
    mig_id: str = ""


NODES = tuple(f"dc1-gpu-{n:02d}" for n in range(1, 5))
CARDS_PER_NODE = 4
GPU_MODEL = "NVIDIA H100 80GB HBM3"


def gpu_uuid(card: int) -> str:
    """UUID of a card of dc1."""
    return f"GPU-{0x7C1E0000 + card:08x}-51d2-4b8e-9f06-{0xA0B1C2D3E400 + card:012x}"


def node_of(card: int) -> str:
    """Node that holds a card."""
    return NODES[card // CARDS_PER_NODE]


HOLDERS = (
    *(Holder(c, "chat", SUPPORT_CHAT, "assist", f"support-chat-{c // 2}") for c in range(4)),
    Holder(4, "steady", FRAUD_SCORING, "risk", "fraud-scoring-0"),
    Holder(5, "steady", FRAUD_SCORING, "risk", "fraud-scoring-1"),
    Holder(6, "held", NOTEBOOKS, "research", "notebook-reserved"),
    Holder(7, "half", NOTEBOOKS, "research", "notebook-mig", "4g.40gb", "1"),
    Holder(7, "half", LAYOUT_LAB, "documents", "layout-lab", "3g.40gb", "2"),
    *(Holder(c, "training", VISION_TRAINING, "vision", "vision-train-a") for c in range(8, 12)),
    *(Holder(c, "training", VISION_TRAINING, "vision", "vision-train-b") for c in range(12, 15)),
    Holder(15, "free", None),
)

DEVICES = tuple(f"plant2-cam-{n:02d}" for n in range(1, 41))
DEVICE_MODEL = "Jetson Orin NX 16GB"
