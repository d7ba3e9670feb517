"""A node in the control plane's cluster: what runs pods, and what moves their packets.

Runs inside the enclosure only. `Node.start` returns when the node is Ready and names
of Services resolve in pods. Everything is unmodified: containerd and runc, kubelet,
scheduler, kube-proxy, a NetworkPolicy engine, and CoreDNS as a pod. Each pod hangs on
a link of its own, so every packet between pods is routed and thus judged by policy.
"""

import json
import subprocess
from pathlib import Path
from typing import Final

from tests.lab import enclosure, node_settings
from tests.lab.api import Object, write_kubeconfig
from tests.lab.build import Toolbox
from tests.lab.control_plane import ControlPlane, Options
from tests.lab.images import pack_basics
from tests.lab.node_settings import POD_RANGE, SOCKET
from tests.lab.processes import Process, wait_for
from tests.lab.tools import LabError

NAME: Final = "node"

_QUEUE: Final = 100
_SHARES: Final = "32768"
_MANIFESTS: Final = Path(__file__).with_name("manifests")


class Node:
    """A running node and its control plane."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """Prepare; `start` is what callers want."""
        self.plane = plane
        self.folder = folder
        self._processes: dict[str, Process] = {}

    @classmethod
    def start(cls, toolbox: Toolbox, folder: Path) -> "Node":
        """Start a control plane and its node, and return when pods can run.

        Args:
            toolbox: Where the programs are.
            folder: An empty folder of its own.

        Raises:
            LabError: If a program is missing or does not come up, with its log's end.
        """
        basics = pack_basics(toolbox, folder)
        plane_folder = folder / "plane"
        plane_folder.mkdir()
        plane = ControlPlane.start(toolbox, plane_folder, _options(plane_folder))
        node = cls(plane, folder)
        try:
            node._start_containerd()
            node._start_kubelet()
            node._start_network()
            node.load(*basics)
            node._await_ready()
        except BaseException:
            node.stop()
            raise
        return node

    def stop(self) -> None:
        """Stop the programs; pods are left to the end of the enclosure."""
        for process in reversed(self._processes.values()):
            process.kill()
        self.plane.stop()

    def load(self, *archives: Path) -> None:
        """Give the node images, from OCI archives."""
        for archive in archives:
            self._ctr("images", "import", archive)

    def tag(self, image: str, name: str) -> None:
        """Give an image that the node has another name."""
        self._ctr("images", "tag", "--force", image, name)

    def kill(self, pod: Object) -> None:
        """End a pod's containers at once, as `kill -9` of their first process."""
        for status in pod["status"]["containerStatuses"]:
            container = status["containerID"].removeprefix("containerd://")
            self._ctr("tasks", "kill", "--signal", "SIGKILL", container)

    def restart_kubelet(self, evict_below: str) -> None:
        """Restart the kubelet with another idea of how much memory is too little.

        Args:
            evict_below: Available memory, such as `99%`, below which it evicts pods
                (`100%` would switch that off); empty is how a node starts.
        """
        self._processes.pop("kubelet").stop()
        self._start_kubelet(evict_below)

    def _start_containerd(self) -> None:
        config = self.folder / "containerd.toml"
        config.write_text(node_settings.containerd(self.folder), "utf-8")
        networks = self.folder / "net.d"
        networks.mkdir()
        network = node_settings.network(self.folder)
        (networks / "lab.conflist").write_text(json.dumps(network), "utf-8")
        containerd = self._launch("containerd", "containerd", "--config", config)
        containerd.wait_until(Path(SOCKET).exists)

    def _start_kubelet(self, evict_below: str = "") -> None:
        for hierarchy in enclosure.cgroup_hierarchies():
            (hierarchy / enclosure.CGROUP).mkdir(exist_ok=True)
            # All pods together would else weigh as much as one other process.
            shares = hierarchy / enclosure.CGROUP / "cpu.shares"
            if shares.exists():
                shares.write_text(_SHARES, "ascii")
        resolver = self.folder / "resolv.conf"
        resolver.touch()  # empty: names outside the cluster do not exist
        settings = node_settings.kubelet(
            authority=self.plane.authority.certificate,
            resolver=resolver,
            cgroup=enclosure.CGROUP,
            evict_below=evict_below,
        )
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps(settings), "utf-8")
        self._launch(
            "kubelet",
            self.plane.program("kubelet"),
            f"--config={config}",
            f"--kubeconfig={self._kubeconfig(f'system:node:{NAME}', 'system:nodes')}",
            f"--hostname-override={NAME}",
            f"--node-ip={enclosure.ADDRESS}",
            f"--root-dir={self.folder / 'kubelet'}",
        )

    def _start_network(self) -> None:
        kubeconfig = self._kubeconfig("system:kube-proxy")
        settings = node_settings.proxy(kubeconfig=kubeconfig, node=NAME)
        config = self.folder / "kube-proxy.json"
        config.write_text(json.dumps(settings), "utf-8")
        self._launch(
            "kube-proxy", self.plane.program("kube-proxy"), f"--config={config}"
        )
        self._launch(
            "kube-scheduler",
            self.plane.program("kube-scheduler"),
            f"--kubeconfig={self._kubeconfig('system:kube-scheduler')}",
            "--leader-elect=false",
        )
        self._launch(
            "kube-network-policies",
            self.plane.toolbox.program("kube-network-policies"),
            f"--kubeconfig={self.plane.kubeconfig}",
            f"--hostname-override={NAME}",
            f"--nfqueue-id={_QUEUE}",
            "--disable-nri",
        )
        # The engine loads nft rules of its own, but not every kernel can say `queue`
        # in nft. This is the part of them that matters: new connections from pods.
        self._run(
            *("iptables", "--insert", "FORWARD", "--source", POD_RANGE),
            *("--match", "conntrack", "--ctstate", "NEW"),
            *("--jump", "NFQUEUE", "--queue-num", str(_QUEUE), "--queue-bypass"),
        )

    def _await_ready(self) -> None:
        admin = self.plane.admin
        self._processes["kubelet"].wait_until(
            lambda: _ready(admin.get("/api/v1/nodes"), NAME)
        )
        # The kubelet makes it beside its first status, and tries again after a while.
        lease = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NAME}"
        wait_for("the node's Lease", lambda: admin.exists(lease), seconds=120)
        self.plane.kubectl("apply", "-f", _MANIFESTS / "coredns.yaml")
        pods = "/api/v1/namespaces/kube-system/pods"
        wait_for(
            "cluster DNS",
            lambda: _ready(admin.get(pods, labelSelector="k8s-app=kube-dns")),
            seconds=120,
        )

    def _kubeconfig(self, user: str, *groups: str) -> Path:
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        return write_kubeconfig(path, self.plane.user(user, groups=groups))

    def _launch(self, name: str, program: str | Path, *flags: str | Path) -> Process:
        process = Process.start(
            name,
            [program, *flags],
            log=self.folder / f"{name}.log",
            env={"PATH": self.plane.toolbox.environ["PATH"]},
        )
        self._processes[name] = process
        return process

    def _ctr(self, *arguments: str | Path) -> None:
        self._run("ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout


def _options(folder: Path) -> Options:
    """What the API server needs beyond loopback: pods reach it, and it the kubelet."""
    return Options(
        addresses=(enclosure.ADDRESS, "10.0.0.1"),
        api_server_flags=(
            "--bind-address=0.0.0.0",
            f"--advertise-address={enclosure.ADDRESS}",
            "--endpoint-reconciler-type=lease",
            f"--kubelet-client-certificate={folder / 'admin.crt'}",
            f"--kubelet-client-key={folder / 'admin.key'}",
            "--kubelet-preferred-address-types=InternalIP",
        ),
    )


def _ready(listed: Object, *names: str) -> bool:
    """Whether a list has objects and all of them, or those named, are Ready."""
    chosen = [
        item
        for item in listed["items"]
        if not names or item["metadata"]["name"] in names
    ]
    return bool(chosen) and all(
        any(
            {"type": "Ready", "status": "True"}.items() <= condition.items()
            for condition in item.get("status", {}).get("conditions", [])
        )
        for item in chosen
    )
