"""What a task does with MLflow's own client: it shows the token of its pod.

Runs by itself, in the environment `keyless` of the lab.
"""

import sys
from pathlib import Path

from mlflow import MlflowClient
from mlflow.tracking.request_auth import kubernetes_request_auth_provider as provider

mounted = Path(sys.argv[1])
# No kubelet mounts anything here: the files lie elsewhere, all else is MLflow's own.
provider._SERVICE_ACCOUNT_TOKEN_PATH = mounted / "token"
provider._SERVICE_ACCOUNT_NAMESPACE_PATH = mounted / "namespace"

sys.stdout.write(MlflowClient().get_experiment_by_name("any").experiment_id)
