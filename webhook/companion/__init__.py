"""Observes the cluster, decides what it should be, applies the difference."""
