"""A task that logs one run. It knows nothing of where the tracking server is."""

import os

import mlflow
import ray


@ray.remote
def train() -> float:
    """Log a metric from a worker."""
    mlflow.set_tracking_uri(os.environ["TRACKING_URI"])
    mlflow.set_experiment("first-run")
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
    return 0.5


ray.init(address="auto")
print("loss", ray.get(train.remote()))
