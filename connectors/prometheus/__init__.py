"""GPU, power and inference metrics of a Prometheus, aggregated hourly by its server."""
