"""The tracking server's CA in every compute namespace, through the built companion."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.issue import issue
from certs.policy import CertificatePolicy
from tests.unit.companion.built import HOME, Built
from webhook.cluster.errors import Forbidden, NotFound
from webhook.cluster.interface import Json, ListOptions
from webhook.cluster.resources import CONFIG_MAP, NAMESPACE, POD
from webhook.companion.cleanup import delete_certificates
from webhook.injection.names import (
    CA_CONFIG_MAP,
    CA_PATH,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MIRROR_SECRET,
)
from webhook.mirror.certificates import TrackingCaReason

POLICY = CertificatePolicy(names=("mlflow.example.org",))
GENERATIONS = [issue(POLICY, datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2)]
ONE, OTHER = (each.root.pem.decode() for each in GENERATIONS)
FROM_CONFIG_MAP = '{"configMap": "ca", "keys": ["ca.crt"]}'
FROM_KEYS = '{"secret": "ca", "keys": ["tls.crt"]}'
MLFLOW = '{"default": {"sources": [{"secret": "keys"}], "preset": "mlflow"}}'


@pytest.fixture(name="built")
def _built(tmp_path: Path) -> Built:
    built = Built(tmp_path)
    built.create(CONFIG_MAP, "ca", data={"ca.crt": ONE})
    built.label()
    return built


def copy(built: Built, namespace: str = "ray") -> Json | None:
    """What tasks of a namespace read; None without the ConfigMap."""
    try:
        body = built.user.get(CONFIG_MAP, CA_CONFIG_MAP, namespace)
    except NotFound:
        return None
    data: Json = body["data"]
    return data


def reason(built: Built, namespace: str = "ray") -> TrackingCaReason | None:
    """How the copy of a namespace stands."""
    result = built.companion.results.tracking_ca.get(namespace)
    return result.reason if result else None


def writes(built: Built) -> int:
    """How often a ConfigMap of the CA's name was applied."""
    return sum(
        call.verb == "apply" and call.key.name == CA_CONFIG_MAP
        for call in built.cluster.calls
    )


def test_a_labeled_namespace_gets_the_certificates_in_one_write(built: Built) -> None:
    """And the tracker's own variable names them, in the same write of the mirror."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP, profiles=MLFLOW)

    assert copy(built) == {"ca.crt": ONE}
    assert reason(built) is TrackingCaReason.CA_MIRRORED
    assert writes(built) == 1
    content = built.companion.profiles.content("default")
    assert content
    assert content.content
    path = content.content.data["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    assert path.reveal().decode() == CA_PATH


@pytest.mark.parametrize(
    ("profiles", "keys"),
    [
        ('{"default": {"sources": [{"secret": "keys"}], "preset": "wandb"}}', {}),
        ('{"default": [{"secret": "keys"}]}', {}),
        (MLFLOW, {"MLFLOW_TRACKING_INSECURE_TLS": "true"}),
        (MLFLOW, {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/own.crt"}),
    ],
)
def test_no_variable_but_the_trackers_own_names_the_ca(
    built: Built, profiles: str, keys: dict[str, str]
) -> None:
    """And none where its client would refuse it, or a source says it already."""
    built.secret("keys", TRACKING_URI="https://mlflow.example.org", **keys)
    built.start(tracking_ca_source=FROM_CONFIG_MAP, profiles=profiles)
    content = built.companion.profiles.content("default")

    assert content
    assert content.content
    assert CA_PATH not in {v.reveal().decode() for v in content.content.data.values()}


def test_nothing_but_certificates_leaves_a_secret(built: Built) -> None:
    """A key that lies beside them stays where it is."""
    key = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"
    built.secret("ca", **{"tls.crt": f"# ours\n{ONE}{key}{OTHER}"})
    built.start(tracking_ca_source=FROM_KEYS)

    assert copy(built) == {"ca.crt": ONE + OTHER}


def test_a_new_ca_reaches_every_namespace(built: Built) -> None:
    """Those that are labeled later, too."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    built.label("spark")
    built.create(CONFIG_MAP, "ca", data={"ca.crt": OTHER})
    for informer in built.companion.caches.all():
        informer.refresh()
    built.settle(10)

    assert copy(built) == copy(built, "spark") == {"ca.crt": OTHER}


def test_what_somebody_changes_is_put_right_and_not_in_a_loop(built: Built) -> None:
    """At most once in five seconds."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    for seconds in (0, 1, 1):
        body = {"name": CA_CONFIG_MAP, "namespace": "ray"}
        built.user.apply(CONFIG_MAP, {"metadata": body, "data": {"ca.crt": "x"}})
        built.settle(seconds)
    during = copy(built)
    built.settle(10)

    assert during == {"ca.crt": "x"}
    assert copy(built) == {"ca.crt": ONE}


@pytest.mark.parametrize("data", [{}, {"ca.crt": "no certificate"}, None])
def test_a_source_that_gives_nothing_takes_nothing_away(
    built: Built, data: dict[str, str] | None
) -> None:
    """Running tasks keep the last good certificates."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    built.user.delete(CONFIG_MAP, "ca", HOME)
    if data is not None:
        built.create(CONFIG_MAP, "ca", data=data)
    built.settle(10)

    assert copy(built) == {"ca.crt": ONE}
    assert reason(built) is TrackingCaReason.CA_SOURCE_UNUSABLE


def test_a_foreign_config_map_is_left_alone(built: Built) -> None:
    """It may be a team's own; it is said so."""
    built.create(CONFIG_MAP, CA_CONFIG_MAP, "ray", data={"ca.crt": "theirs"})
    built.start(tracking_ca_source=FROM_CONFIG_MAP)

    assert copy(built) == {"ca.crt": "theirs"}
    assert reason(built) is TrackingCaReason.CA_FOREIGN


def test_a_foreign_one_that_no_watch_has_told_of_is_left_alone(built: Built) -> None:
    """It was made a moment before our first write."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    built.label("spark")
    built.create(CONFIG_MAP, CA_CONFIG_MAP, "spark", data={"ca.crt": "theirs"})
    built.companion.caches.namespaces.refresh()
    while sum(one.step() for one in built.companion.controllers):
        pass
    early = reason(built, "spark")
    built.settle(15)

    assert copy(built, "spark") == {"ca.crt": "theirs"}
    assert early is TrackingCaReason.CA_REFUSED
    assert reason(built, "spark") is TrackingCaReason.CA_FOREIGN


def test_it_stays_as_long_as_the_mirror_and_goes_after_it(built: Built) -> None:
    """A task that runs keeps reading the file."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    source = {"secretRef": {"name": MIRROR_SECRET}}
    built.pod({}, envFrom=[source])
    built.label(on=False)
    built.settle(60)
    kept = copy(built)
    (pod,) = built.user.list(ListOptions(POD, namespace="ray"), dict).items
    built.user.delete(POD, pod.name, pod.namespace)
    built.settle(60)
    built.settle(60)

    assert kept == {"ca.crt": ONE}
    assert copy(built) is None
    assert reason(built) is None


def test_a_refusal_is_this_namespaces_alone(built: Built) -> None:
    """And it is retried."""
    built.label("spark")
    built.cluster.fail(
        lambda call: call.key == ("ray", CA_CONFIG_MAP) and call.verb == "apply",
        Forbidden("no"),
    )
    built.start(tracking_ca_source=FROM_CONFIG_MAP)

    assert reason(built) is TrackingCaReason.CA_REFUSED
    assert copy(built, "spark") == {"ca.crt": ONE}


def test_an_uninstall_takes_all_of_ours(built: Built) -> None:
    """And nobody else's."""
    built.label("spark")
    built.create(CONFIG_MAP, CA_CONFIG_MAP, "spark", data={"ca.crt": "theirs"})
    built.start(tracking_ca_source=FROM_CONFIG_MAP)

    assert delete_certificates(built.companion.context) == 1
    assert copy(built) is None
    assert copy(built, "spark") == {"ca.crt": "theirs"}


def test_a_copy_bears_the_label_of_what_the_companion_makes(built: Built) -> None:
    """Without which it would be foreign."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    body = built.user.get(CONFIG_MAP, CA_CONFIG_MAP, "ray")

    assert body["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY


def test_a_namespace_that_goes_keeps_what_it_has(built: Built) -> None:
    """Its end takes the copy along."""
    built.start(tracking_ca_source=FROM_CONFIG_MAP)
    before = writes(built)
    meta = {"name": "ray", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    built.user.apply(NAMESPACE, {"metadata": meta})
    built.settle(1)

    assert writes(built) == before
