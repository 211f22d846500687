"""Erasure of a customer on request, and what happens to the customer's webhooks that arrive later."""
