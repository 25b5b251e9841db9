"""Reading the outside world: one folder a provider or protocol."""
