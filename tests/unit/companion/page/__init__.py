"""The status page, as HTML."""
