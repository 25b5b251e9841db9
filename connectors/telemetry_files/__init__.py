"""Samples of GPUs, inference services and power meters in Parquet or CSV files."""
