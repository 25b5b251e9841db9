"""Bills of Microsoft Azure."""
