"""List prices of providers, for placement. What was charged comes from the bills, never from here."""
