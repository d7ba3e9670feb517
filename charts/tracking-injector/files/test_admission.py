"""Creates a Ray head pod in a dry run, and fails unless it comes back with the keys.

The pod is one that a namespace takes which enforces the standard `restricted`, or wants
every container to have limits. Where it is refused all the same, the API server's own
sentence is what is printed.
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from ssl import create_default_context

server, account, namespace, mirror, image = sys.argv[1:]
size = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "16Mi"}
pod = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "generateName": "tracking-injector-test-",
        "labels": {"ray.io/node-type": "head"},
    },
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "ray-head",
                "image": image,
                "resources": {"requests": size, "limits": size},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
request = urllib.request.Request(  # noqa: S310 - the API server's own address
    f"{server}/api/v1/namespaces/{namespace}/pods?dryRun=All",
    data=json.dumps(pod).encode(),
    headers={
        "Authorization": f"Bearer {Path(account, 'token').read_text()}",
        "Content-Type": "application/json",
    },
)
context = create_default_context(cafile=Path(account, "ca.crt"))
try:
    answer = urllib.request.urlopen(  # noqa: S310 - as above
        request, timeout=30, context=context
    )
    with answer:
        containers = json.load(answer)["spec"]["containers"]
except urllib.error.HTTPError as error:
    said = json.loads(error.read() or b"{}").get("message") or error.reason
    sys.exit(f"the API server refused the pod in namespace {namespace}: {said}")
except urllib.error.URLError as error:
    sys.exit(f"the API server did not answer: {error.reason}")
sources = [
    source.get("secretRef", {}).get("name")
    for container in containers
    if container["name"] == "ray-head"
    for source in container.get("envFrom", [])
]
sys.exit(
    0
    if mirror in sources
    else f"the pod got no tracking keys: the API server let it into {namespace} "
    "without the webhook's answer"
)
