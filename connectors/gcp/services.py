"""Google Cloud services -> FOCUS service category, for the services that make up most bills; facts, no logic."""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "Vertex AI", "Cloud AutoML", "Gemini API", "Generative Language API", "Cloud Natural Language API",
        "Cloud Natural Language", "Cloud Speech API", "Cloud Text-to-Speech API", "Cloud Vision API", "Translate",
        "Cloud Machine Learning Engine", "Cloud Document AI API", "Dialogflow API", "Cloud Video Intelligence API",
        "Recommendations AI", "Vertex AI Search", "Claude on Vertex AI",
    ),
    "Analytics": (
        "BigQuery", "BigQuery Reservation API", "BigQuery Storage API", "BigQuery BI Engine", "Cloud Dataflow",
        "Cloud Dataproc", "Dataproc", "Dataplex", "Looker", "Cloud Composer", "Data Catalog", "Dataform",
    ),
    "Business Applications": ("Google Workspace", "Maps API", "Contact Center AI Platform"),
    "Compute": (
        "Compute Engine", "Kubernetes Engine", "Cloud Run", "Cloud Run Functions", "Cloud Functions", "App Engine",
        "Cloud Batch", "VMware Engine", "Cloud TPU", "Artifact Registry", "Container Registry",
    ),
    "Databases": (
        "Cloud SQL", "Cloud Spanner", "Cloud Bigtable", "Cloud Firestore", "Cloud Datastore", "AlloyDB",
        "Cloud Memorystore for Redis", "Cloud Memorystore for Memcached", "Cloud Memorystore",
    ),
    "Developer Tools": ("Cloud Build", "Cloud Source Repositories", "Cloud Deploy", "Cloud Workstations"),
    "Identity": ("Identity Platform", "Cloud Identity"),
    "Integration": ("Cloud Pub/Sub", "Workflows", "Cloud Tasks", "Cloud Scheduler", "Eventarc", "Application Integration"),
    "Internet of Things": ("Cloud IoT Core",),
    "Management and Governance": (
        "Cloud Logging", "Stackdriver Logging", "Cloud Monitoring", "Stackdriver Monitoring", "Cloud Trace",
        "Support", "Invoice",
    ),
    "Media": ("Transcoder API", "Live Stream API"),
    "Migration": ("Database Migration", "Storage Transfer Service", "BigQuery Data Transfer Service"),
    "Networking": (
        "Networking", "Cloud DNS", "Network Intelligence Center", "Network Security", "Cloud Load Balancing",
        "API Gateway", "Apigee",
    ),
    "Security": (
        "Security Command Center", "Cloud Key Management Service (KMS)", "Secret Manager", "Cloud DLP",
        "Certificate Authority Service", "Web Risk", "reCAPTCHA Enterprise", "Binary Authorization",
    ),
    "Storage": ("Cloud Storage", "Cloud Filestore", "Backup for GKE", "Backup and DR", "NetApp Volumes", "Parallelstore"),
}  # fmt: skip
"""FOCUS ServiceCategory -> values of service.description; every other service is `Other`."""
