"""The real server: a process on loopback, TLS, and clients that behave or do not."""
