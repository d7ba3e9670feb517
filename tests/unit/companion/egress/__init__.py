"""Egress in a cluster in memory."""
