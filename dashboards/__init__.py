"""Statements and charts from the published warehouse, read-only."""
