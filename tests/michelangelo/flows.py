"""The flows whose objects are captured: the guide's two tasks, and one of each kind.

Written as Michelangelo's users write them; the client transpiles the source itself.
"""

import os

import michelangelo.uniflow.core as uniflow
from michelangelo.uniflow.plugins.ray import RayTask
from michelangelo.uniflow.plugins.scala import ScalaSparkTask
from michelangelo.uniflow.plugins.spark import SparkTask


@uniflow.task(config=RayTask(head_cpu=1, head_memory="2Gi", worker_instances=0))
def check_tracking_config():
    """Fail unless the environment names the tracking server, as the guide has it."""
    tracking_uri = os.environ.get("TRACKING_URI")
    if not tracking_uri:
        raise ValueError("TRACKING_URI is not set in the environment")
    return tracking_uri


@uniflow.task(
    config=RayTask(
        head_cpu=1,
        head_memory="2Gi",
        worker_cpu=1,
        worker_memory="2Gi",
        worker_instances=2,
        runtime_env={"env_vars": {"MY_SETTING": "1"}},
    )
)
def train_model(learning_rate: float):
    """Log a run where the environment says."""
    import mlflow

    mlflow.set_tracking_uri(os.environ["TRACKING_URI"])
    with mlflow.start_run():
        mlflow.log_param("learning_rate", learning_rate)


@uniflow.task(config=SparkTask(driver_cpu=1, driver_memory="2G", executor_instances=2))
def prepare_data():
    """The guide's check on Spark, with a run that says what the executors have."""
    import mlflow
    from pyspark.sql import SparkSession

    tracking_uri = os.environ.get("TRACKING_URI")
    if not tracking_uri:
        raise ValueError("TRACKING_URI is not set in the environment")
    rows = SparkSession.builder.getOrCreate().sparkContext.parallelize(range(2))
    seen = rows.map(lambda _: os.environ.get("TRACKING_URI")).distinct().collect()
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run():
        mlflow.log_param("executors_agree", seen == [tracking_uri])


@uniflow.task(
    config=ScalaSparkTask(
        main_file="local:///app/job.jar", main_class="org.example.Job"
    )
)
def score():
    """Run a JAR, which reads its environment and nothing else."""


@uniflow.workflow()
def check():
    """The guide's check."""
    check_tracking_config()


@uniflow.workflow()
def train():
    """The guide's training."""
    train_model(learning_rate=0.1)


@uniflow.workflow()
def spark():
    """A Python task on Spark."""
    prepare_data()


@uniflow.workflow()
def scala():
    """A Scala task on Spark."""
    score()
