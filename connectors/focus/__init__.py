"""Bills in FOCUS."""
