"""Pure functions, frames in and frames out: no database, network, clock or Dagster."""
