"""Amazon CloudWatch: requests and tokens of SageMaker endpoints and Bedrock models."""
