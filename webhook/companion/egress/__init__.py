"""Keeps egress policies in step with tracking keys, DNS and other policies."""
