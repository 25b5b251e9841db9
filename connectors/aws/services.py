"""AWS product codes -> FOCUS service category, for the services that make up most bills; facts, no logic."""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "AI and Machine Learning": (
        "AmazonBedrock", "AmazonBedrockService", "AmazonSageMaker", "AmazonRekognition", "AmazonTextract",
        "AmazonPolly", "AmazonLex", "AmazonKendra", "AmazonPersonalize", "AmazonForecast",
        "comprehend", "transcribe", "translate", "AmazonQ", "Kiro",
    ),
    "Analytics": (
        "AmazonAthena", "AWSGlue", "ElasticMapReduce", "AmazonKinesis", "AmazonKinesisFirehose",
        "AmazonKinesisAnalytics", "AmazonMSK", "AmazonQuickSight", "AWSLakeFormation", "AmazonES",
        "AmazonOpenSearchService",
    ),
    "Business Applications": ("AmazonWorkMail", "AmazonConnect", "AmazonSES", "AmazonChime", "AmazonPinpoint"),
    "Compute": (
        "AmazonEC2", "AWSLambda", "AmazonECS", "AmazonEKS", "AmazonLightsail", "AWSBatch", "AmazonECR",
        "AWSElasticBeanstalk", "AWSOutposts", "ComputeSavingsPlans", "AWSComputeOptimizer",
    ),
    "Databases": (
        "AmazonRDS", "AmazonDynamoDB", "AmazonElastiCache", "AmazonRedshift", "AmazonDocDB", "AmazonNeptune",
        "AmazonTimestream", "AmazonMemoryDB", "AmazonDAX", "AmazonMCS",
    ),
    "Developer Tools": ("AWSCodePipeline", "CodeBuild", "AWSCodeCommit", "AWSCodeArtifact", "AWSXRay"),
    "Identity": ("AmazonCognito", "AWSDirectoryService", "AWSIdentityStore"),
    "Integration": ("AWSQueueService", "AmazonSNS", "AWSEvents", "AmazonStates", "AmazonMQ", "AmazonAppFlow"),
    "Internet of Things": ("AWSIoT", "AWSIoTAnalytics", "AWSGreengrass", "AWSIoTDeviceManagement"),
    "Management and Governance": (
        "AmazonCloudWatch", "AWSCloudTrail", "AWSConfig", "AWSSystemsManager", "AWSServiceCatalog",
        "AWSBudgets", "AWSCostExplorer", "AWSSupportEnterprise", "AWSSupportBusiness", "AWSSupportDeveloper",
        "AWSDeveloperSupport", "AWSPremiumSupport",
    ),
    "Media": ("AWSElementalMediaConvert", "AWSElementalMediaLive", "AmazonIVS"),
    "Migration": ("AWSDatabaseMigrationSvc", "AWSDataSync", "AWSDataTransferTerminal", "AWSTransfer"),
    "Networking": (
        "AmazonVPC", "AmazonRoute53", "AmazonCloudFront", "AWSELB", "AWSDataTransfer", "AWSDirectConnect",
        "AWSGlobalAccelerator", "AmazonApiGateway", "AWSTransitGateway",
    ),
    "Security": (
        "awskms", "AWSSecretsManager", "AmazonGuardDuty", "awswaf", "AWSShield", "AmazonInspector",
        "AmazonInspectorV2", "AWSSecurityHub", "AmazonMacie", "AWSCertificateManager", "CloudHSM",
    ),
    "Storage": (
        "AmazonS3", "AmazonEFS", "AmazonFSx", "AmazonGlacier", "AWSBackup", "AWSStorageGateway",
        "AmazonS3GlacierDeepArchive",
    ),
}  # fmt: skip
"""FOCUS ServiceCategory -> values of lineItem/ProductCode; every other code is `Other`."""
