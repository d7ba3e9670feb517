"""The chart, rendered by the lab's helm: no cluster."""
