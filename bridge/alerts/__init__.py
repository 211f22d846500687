"""Conditions that need an operator: which there are, which messages they cause, and how these are sent."""
