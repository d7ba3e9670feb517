"""Properties of what the command line reads and writes."""
