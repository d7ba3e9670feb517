"""Tests, by what they need: nothing, a process, a cluster."""
