"""Where a workload should run: hard constraints first, then total cost, then the reason in words."""
