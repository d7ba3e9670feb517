"""Egress, over generated inputs."""
