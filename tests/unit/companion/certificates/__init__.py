"""The certificates' concern on a cluster in memory."""
