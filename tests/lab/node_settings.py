"""The configuration files of a node's programs, as values.

Each function names what it needs and returns what the program reads; nothing here
writes a file. What is not said is the program's own default.
"""

from pathlib import Path
from typing import Any, Final

SOCKET: Final = "/run/containerd/containerd.sock"
POD_RANGE: Final = "10.244.0.0/24"
DNS_ADDRESS: Final = "10.0.0.10"
PAUSE: Final = "lab.local/pause:1"

_PLUGINS: Final = "/usr/lib/cni"


def containerd(folder: Path) -> str:
    """Containerd's configuration (TOML), all its state below `folder` and `/run`."""
    # Without the right to lower an OOM score, runc would fail; the lab may lack it.
    return f"""
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{_PLUGINS}"
conf_dir = "{folder}/net.d"
"""


def network(folder: Path) -> dict[str, Any]:
    """The pods' network: a link each, so that every packet passes the node."""
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(folder / "addresses"),
                    "ranges": [[{"subnet": POD_RANGE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def kubelet(
    *, authority: Path, resolver: Path, cgroup: str, evict_below: str
) -> dict[str, Any]:
    """The kubelet's configuration."""
    # A soft threshold: a hard one would also be taken off what the node can give.
    soft = {
        "evictionSoft": {"memory.available": evict_below},
        "evictionSoftGracePeriod": {"memory.available": "1s"},
    }
    return {
        **(soft if evict_below else {}),
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        # There is no registry to fetch an image from again, however full the disk is.
        "imageGCHighThresholdPercent": 100,
        "resolvConf": str(resolver),
        # How soon a container that waits for a Secret is tried again: 5 to 8 s, where
        # the default makes it 10 to 15 s.
        "syncFrequency": "5s",
    }


def proxy(*, kubeconfig: Path, node: str) -> dict[str, Any]:
    """Kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": POD_RANGE,
        "conntrack": {"maxPerCore": 0},  # the machine's, not ours to set
        "hostnameOverride": node,
        "mode": "nftables",
    }
