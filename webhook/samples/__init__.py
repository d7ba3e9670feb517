"""Real AdmissionReviews, exactly as kube-apiserver 1.36.3 sent them.

Made by KubeRay 1.6.2 on its own samples and on a RayCluster shaped like Michelangelo's,
by spark-submit 3.5.5, by spark-operator 2.5.2 with its own webhook running, and by the
controllers of a Job and a StatefulSet. A file's name says what the pod is;
`not-a-task-*` must never be touched.
"""

from importlib.resources import files

NOT_A_TASK = "not-a-task-"
"""Reviews of this prefix are of pods that stay as they are."""


def reviews() -> dict[str, bytes]:
    """Every captured review by its name, in the names' order."""
    return {
        file.name.removesuffix(".json"): file.read_bytes()
        for file in sorted(files(__name__).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    }


PROMISED = {
    "opted-in-job": ("evaluate",),
    "opted-in-notebook-named-containers": ("notebook", "kernel"),
    "ray-head-autoscaler-sidecar": ("ray-head",),
    "ray-head-kuberay-sample": ("ray-head",),
    "ray-head-michelangelo": ("head",),
    "ray-head-michelangelo-log-collector": ("head",),
    "ray-head-rayjob-sidecar-mode": ("ray-head",),
    "ray-worker-kuberay-sample": ("ray-worker",),
    "ray-worker-michelangelo": ("worker",),
    "ray-worker-tls-two-init-containers": ("ray-worker",),
    "spark-driver-operator-after-its-webhook": ("spark-kubernetes-driver",),
    "spark-driver-operator-before-its-webhook": ("spark-kubernetes-driver",),
    "spark-driver-plain": ("spark-kubernetes-driver",),
    "spark-driver-pod-template-renamed-container": ("main",),
    "spark-executor-client-mode": ("spark-kubernetes-executor",),
}
"""The containers that run user code, as a person who looked says: by review."""
