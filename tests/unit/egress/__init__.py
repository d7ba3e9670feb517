"""Egress: destinations, policies and addresses, without a packet."""
