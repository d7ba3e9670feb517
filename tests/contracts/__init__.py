"""Suites that a port's fake and its real counterpart both must pass."""
