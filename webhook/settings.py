"""Settings, built from a passed mapping."""
