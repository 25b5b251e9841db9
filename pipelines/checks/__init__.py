"""The gates between what a run built and what is published."""
