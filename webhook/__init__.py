"""Gives every Ray and Spark task pod its experiment tracking keys.

`injection`, `egress` and `mirror` are pure: values in, values out. `server` answers
the API server, `companion` keeps the cluster as it should be, `cluster` is the only
part that knows the Kubernetes client, and `cli` wires them together.
"""

__version__ = "0.1.0"

METRICS_PREFIX = "tracking_injector"
"""Begins the name of each metric of ours."""
