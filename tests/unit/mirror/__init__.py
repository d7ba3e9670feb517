"""The mirror package, in memory."""
