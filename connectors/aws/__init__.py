"""Bills of Amazon Web Services."""
