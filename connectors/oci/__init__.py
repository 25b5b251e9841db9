"""Bills of Oracle Cloud Infrastructure."""
