"""The cluster package, in memory."""
