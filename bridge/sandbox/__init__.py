"""A bridge and a fake Pulsora on this machine: what the demo and the tests run against."""
