"""A user's Ray program: a task on a worker reads the key and logs a metric."""

import os

import mlflow
import ray


@ray.remote(num_cpus=1)
def task() -> str:
    """Runs on a worker, as the head offers no CPU."""
    mlflow.set_tracking_uri(os.environ["TRACKING_URI"])
    mlflow.set_experiment("ray")
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
    return os.environ["TRACKING_URI"]


ray.init(address="auto")
print(ray.get(task.remote()))
