"""Creates a Ray head pod in a dry run, and fails unless it comes back with the keys."""

import json
import sys
import urllib.request
from pathlib import Path
from ssl import create_default_context

server, account, namespace, mirror = sys.argv[1:]
pod = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "generateName": "tracking-injector-test-",
        "labels": {"ray.io/node-type": "head"},
    },
    "spec": {"containers": [{"name": "ray-head", "image": "example.com/none:0"}]},
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
with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310
    container = json.load(answer)["spec"]["containers"][0]
sources = [one.get("secretRef", {}).get("name") for one in container.get("envFrom", [])]
sys.exit(0 if mirror in sources else f"the pod got no tracking keys: {container}")
