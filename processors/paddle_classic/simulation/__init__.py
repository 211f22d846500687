"""Simulated Paddle Classic customers and their alerts, for `simulate` and the tests. Loaded only when asked for."""
