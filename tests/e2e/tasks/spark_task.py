"""A user's Spark program: a UDF reads the key, and the driver logs a metric."""

import os
import pathlib
import time

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

spark = SparkSession.builder.getOrCreate()


@udf("string")
def seen(_number: int) -> str:
    """What an executor has in its environment."""
    return os.environ["TRACKING_URI"]


rows = spark.range(4).repartition(2).select(seen("id").alias("uri")).distinct()
[uri] = [row.uri for row in rows.collect()]
mlflow.set_tracking_uri(os.environ["TRACKING_URI"])
mlflow.set_experiment("spark")
with mlflow.start_run():
    mlflow.log_param("executor_uri", uri)
    mlflow.log_metric("loss", 0.25)
while not pathlib.Path("/tmp/done").exists():
    time.sleep(0.2)
spark.stop()
