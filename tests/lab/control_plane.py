"""A whole Kubernetes control plane in a folder: etcd, API server, controllers.

`ControlPlane.start` returns in a few seconds with everything on loopback and on ports
that belong to it alone, so two of them stand side by side. Nothing runs pods: what a
client creates stays as it was admitted, which is what the tests look at.
"""

import base64
import datetime
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tests.lab.api import Api, Identity, Object, write_kubeconfig
from tests.lab.build import Toolbox
from tests.lab.credentials import Authority, service_account_keys
from tests.lab.processes import Port, Process, wait_for
from tests.lab.tools import LabError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may differ between two control planes.

    Attributes:
        aggregator_routing: Whether the API server dials a webhook's Service by its
            endpoints (as a cluster without kube-proxy on the control plane does)
            instead of by its cluster IP.
        release: Suffix of the Kubernetes tools to run, such as `-1.33`; empty is the
            default release.
        api_server_flags: More flags for kube-apiserver.
        addresses: More addresses for its certificate.
    """

    aggregator_routing: bool = False
    release: str = ""
    api_server_flags: Sequence[str] = ()
    addresses: Sequence[str] = ()


class ControlPlane:
    """A running control plane."""

    def __init__(self, toolbox: Toolbox, folder: Path, options: Options) -> None:
        """Make its keys and files; `start` is what callers want."""
        self.toolbox = toolbox
        self.folder = folder
        self.options = options
        self._ports = {name: Port() for name in ("etcd", "peer", "api")}
        self._processes: dict[str, Process] = {}
        self.server = f"https://127.0.0.1:{self._ports['api']}"
        now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the lab's edge
        self.authority = Authority(folder, now=now)
        self._serving = self.authority.issue(
            "server",
            user="kube-apiserver",
            addresses=("127.0.0.1", *options.addresses),
        )
        self._tokens = service_account_keys(folder)
        self.admin = self.user("admin", groups=("system:masters",))
        self.kubeconfig = write_kubeconfig(folder / "admin.kubeconfig", self.admin)

    @classmethod
    def start(
        cls, toolbox: Toolbox, folder: Path, options: Options | None = None
    ) -> "ControlPlane":
        """Start one, and return when it admits pods.

        Args:
            toolbox: Where the programs are.
            folder: An empty folder of its own.
            options: What differs from the usual.

        Raises:
            LabError: If a program is missing or does not come up, with its log's end.
        """
        plane = cls(toolbox, folder, options or Options())
        try:
            plane._start_etcd()
            plane._launch_api_server()
            plane._await_api_server()
            plane._start_controllers()  # they wait 10 s for a server, and give up
            default = "/api/v1/namespaces/default/serviceaccounts/default"
            plane._processes["kube-controller-manager"].wait_until(
                lambda: plane.admin.exists(default)
            )
        except BaseException:
            plane.stop()
            raise
        return plane

    def stop(self) -> None:
        """Stop everything, the API server before its storage: it waits for it."""
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            if name in self._processes:
                self._processes.pop(name).stop(seconds=5)
        for port in self._ports.values():
            port.close()

    def pid(self, name: str) -> int:
        """The process id of one of its programs."""
        return self._processes[name].popen.pid

    def start_api_server(self) -> None:
        """Start the API server again, on the same address and storage."""
        self._launch_api_server()
        self._await_api_server()

    def stop_api_server(self) -> None:
        """Stop the API server alone, as a crash would.

        Asked nicely, it would first wait for every watch to end.
        """
        self._processes.pop("kube-apiserver").kill()

    def user(self, name: str, *, groups: tuple[str, ...] = ()) -> Api:
        """A client that is the named user, by certificate."""
        pair = self.authority.issue(name, user=name, groups=groups)
        return self._client(Identity(pair=pair))

    def token(self, namespace: str, account: str, *, seconds: int = 3600) -> str:
        """A token of a ServiceAccount, as the kubelet would mount it."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        body: Object = {"spec": {"expirationSeconds": seconds}}
        answer = self.admin.create(f"{accounts}/{account}/token", body)
        return str(answer["status"]["token"])

    def service_account(self, namespace: str, account: str) -> Api:
        """A client that is a ServiceAccount."""
        return self._client(Identity(token=self.token(namespace, account)))

    def kubeconfig_for(self, namespace: str, account: str) -> Path:
        """A kubeconfig of a ServiceAccount."""
        path = self.folder / f"{namespace}.{account}.kubeconfig"
        return write_kubeconfig(path, self.service_account(namespace, account))

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace, and return its name once pods can be created there."""
        body: Object = {"metadata": {"name": name, "labels": dict(labels or {})}}
        self.admin.create("/api/v1/namespaces", body)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(f"{name}'s default account", lambda: self.admin.exists(account))
        return name

    def stored(self) -> dict[str, bytes]:
        """Everything in etcd, as it is stored: key to value."""
        everything = {"key": "AA==", "range_end": "AA=="}  # from and to a zero byte
        url = f"http://127.0.0.1:{self._ports['etcd']}/v3/kv/range"
        answer = urllib3.request("POST", url, json=everything).json()
        return {
            base64.b64decode(one["key"]).decode(): base64.b64decode(one["value"])
            for one in answer["kvs"]
        }

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl as admin and return what it prints.

        Raises:
            LabError: If it fails, with its message.
        """
        return self._run("kubectl", *arguments, stdin=stdin)

    def helm(self, *arguments: str | Path, program: str = "helm") -> str:
        """Run helm as admin, its own files kept in the lab's folder.

        Raises:
            LabError: If it fails, with its message.
        """
        return self._run(program, *arguments)

    def environ(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """Variables for a client program: our kubeconfig, and a home of its own."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": self.toolbox.environ.get("PATH", ""),
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
        }

    def program(self, name: str) -> Path:
        """The binary of a Kubernetes tool, of this plane's release."""
        return self.toolbox.program(name + self.options.release)

    def _run(self, name: str, *arguments: str | Path, stdin: str | None = None) -> str:
        done = subprocess.run(
            [self.toolbox.program(name), *arguments],
            env=self.environ(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = " ".join(map(str, arguments))
            raise LabError(f"{name} {words}: {done.stderr.strip()}")
        return done.stdout

    def _client(self, identity: Identity) -> Api:
        authority = self.authority.certificate
        return Api(self.server, authority=authority, identity=identity)

    def _launch(self, name: str, program: Path, *flags: str) -> None:
        self._processes[name] = Process.start(
            name,
            [program, *flags],
            log=self.folder / f"{name}.log",
            env=self.environ(),
        )

    def _start_etcd(self) -> None:
        data = self.folder / "etcd"
        shutil.rmtree(data, ignore_errors=True)
        client, peer = (f"http://127.0.0.1:{self._ports[n]}" for n in ("etcd", "peer"))
        self._launch(
            "etcd",
            self.toolbox.program("etcd"),
            f"--data-dir={data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--socket-reuse-port=true",
            "--unsafe-no-fsync=true",
        )

    def _launch_api_server(self) -> None:
        self._launch(
            "kube-apiserver",
            self.program("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['api']}",
            "--permit-port-sharing=true",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._tokens.certificate}",
            f"--service-account-signing-key-file={self._tokens.key}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
            "--advertise-address=10.255.0.1",  # anything but loopback is accepted
            f"--enable-aggregator-routing={str(self.options.aggregator_routing).lower()}",
            *self.options.api_server_flags,
        )

    def _await_api_server(self) -> None:
        self._processes["kube-apiserver"].wait_until(
            lambda: self.admin.answers("/readyz")
        )

    def _start_controllers(self) -> None:
        user = self.user("system:kube-controller-manager")
        kubeconfig = write_kubeconfig(self.folder / "controllers.kubeconfig", user)
        self._launch(
            "kube-controller-manager",
            self.program("kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={self._tokens.key}",
            f"--root-ca-file={self.authority.certificate}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )
