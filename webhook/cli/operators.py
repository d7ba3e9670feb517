"""Resources that lead to pods, and the pods that would come of each.

As far as recognition and the environment need it: the labels and variables that
operators write. A value that they work out themselves is told as `<written by ...>`.
"""

from collections.abc import Callable

from webhook.cli.document import Field
from webhook.cli.expected_pods import Pods
from webhook.cli.ray_pods import ray_cluster, ray_job
from webhook.cli.spark_pods import (
    apache_application,
    apache_cluster,
    spark_application,
    spark_connect,
)

_TEMPLATE = ("spec", "template")
TEMPLATES = {
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
}
"""By API group and kind: where the template is of which pods are copies."""

OPERATORS: dict[tuple[str, str], Callable[[Field, str], Pods]] = {
    ("ray.io", "RayCluster"): ray_cluster,
    ("ray.io", "RayJob"): ray_job,
    ("ray.io", "RayCronJob"): lambda spec, name: ray_job(spec.at("jobTemplate"), name),
    ("ray.io", "RayService"): lambda spec, name: ray_cluster(
        spec.at("rayClusterConfig"), name
    ),
    ("sparkoperator.k8s.io", "SparkApplication"): spark_application,
    ("sparkoperator.k8s.io", "SparkConnect"): spark_connect,
    ("sparkoperator.k8s.io", "ScheduledSparkApplication"): (
        lambda spec, name: spark_application(spec.at("template"), name)
    ),
    ("spark.apache.org", "SparkApplication"): apache_application,
    ("spark.apache.org", "SparkCluster"): apache_cluster,
}
"""By API group and kind: what gives the pods that the operator would create.

It gets the resource's spec and name, and raises `BadInputError` where a field that
makes a pod is missing or of the wrong type.
"""
