"""Name resolution against a real DNS server on loopback, and pools over hours."""
