"""Bills of Google Cloud."""
