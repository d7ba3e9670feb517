"""Doctor's checks, on values alone."""
