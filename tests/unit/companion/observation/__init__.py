"""The observation of an installation in memory."""
