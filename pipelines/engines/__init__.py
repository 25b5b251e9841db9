"""Engines that run the SQL of connectors."""
