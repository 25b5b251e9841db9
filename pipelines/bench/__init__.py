"""`tierwise bench`: speed and memory on a generated AWS bill, as ratios within one run."""
