"""Simulated Paddle customers and their webhooks, for `simulate`, the demo and the tests. Loaded only when asked for."""
