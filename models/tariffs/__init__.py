"""Electricity tariffs: what they say, the price of a kWh at an instant, and the bill of a month."""
