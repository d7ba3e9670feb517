"""What every `KubeClient` port does, whether a fake or an API server stands behind.

Subclasses give the fixtures `port` (our field manager), `other` (somebody else's) and
`home` (a namespace of the test's own, which exists).
"""

import threading
from collections.abc import Iterator

import pytest

from webhook.cluster import metadata
from webhook.cluster.errors import (
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    NotFound,
    Terminating,
)
from webhook.cluster.interface import (
    Json,
    KubeClient,
    ListOptions,
    ObjectKey,
    Preconditions,
    WatchEvent,
    WatchEventType,
)
from webhook.cluster.resources import (
    CONFIG_MAP,
    NAMESPACE,
    POD,
    SECRET,
    WEBHOOK_CONFIGURATION,
)


def config_map(home: str, name: str = "c", **data: str) -> Json:
    """A ConfigMap as it is applied."""
    return {"metadata": {"name": name, "namespace": home}, "data": data}


def secret(home: str, *, kind: str = "Opaque", **data: str) -> Json:
    """A Secret as it is applied; values are base64."""
    return {"metadata": {"name": "s", "namespace": home}, "type": kind, "data": data}


def webhook_configuration(name: str, *webhooks: Json) -> Json:
    """A MutatingWebhookConfiguration as it is applied."""
    return {"metadata": {"name": name}, "webhooks": list(webhooks)}


WEBHOOK: Json = {
    "name": "ray.example.org",
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "clientConfig": {"url": "https://127.0.0.1:9/mutate"},
    # Never asked: no namespace has the label.
    "namespaceSelector": {"matchLabels": {"contract": "never"}},
    "failurePolicy": "Ignore",
}


def until_first(stream: Iterator[WatchEvent], happening: WatchEventType) -> WatchEvent:
    """The first change of that sort."""
    return next(change for change in stream if change.type is happening)


class KubeClientContract:
    """The port's promises."""

    def test_what_is_applied_can_be_read(self, port: KubeClient, home: str) -> None:
        """Apply creates what is not there."""
        port.apply(CONFIG_MAP, config_map(home, a="1"))

        assert port.get(CONFIG_MAP, "c", home)["data"] == {"a": "1"}

    def test_what_is_served_can_be_asked(
        self, port: KubeClient, other: KubeClient
    ) -> None:
        """By group, with its versions; the core one has no name."""
        other.apply(WEBHOOK_CONFIGURATION, webhook_configuration("groups"))
        found = port.groups()
        other.delete(WEBHOOK_CONFIGURATION, "groups")

        assert "v1" in found["admissionregistration.k8s.io"]
        assert "" not in found

    def test_the_servers_version_can_be_asked(self, port: KubeClient) -> None:
        """As kubectl prints it."""
        assert port.version().startswith("v1.")

    def test_the_servers_own_metrics_can_be_asked(self, port: KubeClient) -> None:
        """One by its whole name; what it never counted has no sample."""
        assert port.samples("apiserver_no_such_metric_total") == ()

    def test_a_missing_pod_has_no_logs(self, port: KubeClient, home: str) -> None:
        """The error names it."""
        with pytest.raises(NotFound, match="none"):
            port.logs(home, "none", lines=10)

    def test_a_container_is_added_to_a_pod_for_good(
        self, port: KubeClient, home: str
    ) -> None:
        """Beside those that were there; another of its name does not replace it."""
        spec = {"containers": [{"name": "task", "image": "i"}]}
        pod = {"metadata": {"name": "p", "namespace": home}, "spec": spec}
        port.create(POD, pod)
        for name in ("first", "second"):
            port.add_container(home, "p", {"name": name, "image": "i"})

        with pytest.raises(Invalid):
            port.add_container(home, "p", {"name": "first", "image": "other"})

        added = port.get(POD, "p", home)["spec"]["ephemeralContainers"]
        images = {one["name"]: one["image"] for one in added}
        assert images == {"first": "i", "second": "i"}

    def test_nothing_is_added_to_a_missing_pod(
        self, port: KubeClient, home: str
    ) -> None:
        """The error names it."""
        with pytest.raises(NotFound, match="none"):
            port.add_container(home, "none", {"name": "c", "image": "i"})

    def test_applying_the_same_changes_nothing(
        self, port: KubeClient, home: str
    ) -> None:
        """A second apply of the same body leaves the version and the time."""
        first = port.apply(CONFIG_MAP, config_map(home, a="1"))
        second = port.apply(CONFIG_MAP, config_map(home, a="1"))

        assert metadata.resource_version(first) == metadata.resource_version(second)
        assert metadata.last_write_time(first) == metadata.last_write_time(second)

    def test_what_is_no_longer_applied_goes(self, port: KubeClient, home: str) -> None:
        """A key left out of a later apply is removed."""
        port.apply(CONFIG_MAP, config_map(home, a="1", b="2"))

        assert port.apply(CONFIG_MAP, config_map(home, b="2"))["data"] == {"b": "2"}

    def test_others_fields_stay(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """What another manager applied is neither changed nor removed."""
        port.apply(CONFIG_MAP, config_map(home, a="1"))
        other.apply(CONFIG_MAP, config_map(home, b="2"))

        assert port.apply(CONFIG_MAP, config_map(home, a="1"))["data"] == {
            "a": "1",
            "b": "2",
        }

    def test_anothers_field_is_a_conflict_without_force(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """Without force, another manager's value is not overwritten."""
        other.apply(CONFIG_MAP, config_map(home, a="1"))

        with pytest.raises(Conflict):
            port.apply(CONFIG_MAP, config_map(home, a="2"), force=False)

    def test_force_takes_anothers_field(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """With force, which is the default, it is."""
        other.apply(CONFIG_MAP, config_map(home, a="1"))

        assert port.apply(CONFIG_MAP, config_map(home, a="2"))["data"] == {"a": "2"}

    def test_a_merge_takes_away_what_another_wrote(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """An apply never could; the rest stays as it is, and whose it is."""
        port.apply(CONFIG_MAP, config_map(home, a="1"))
        other.apply(CONFIG_MAP, config_map(home, b="2"))
        address = {"name": "c", "namespace": home}
        body = {"metadata": address, "data": {"b": None}}

        assert port.patch(CONFIG_MAP, body)["data"] == {"a": "1"}
        assert port.apply(CONFIG_MAP, config_map(home, c="3"))["data"] == {"c": "3"}

    def test_nothing_is_merged_into_nothing(self, port: KubeClient, home: str) -> None:
        """A merge does not create."""
        with pytest.raises(NotFound):
            port.patch(CONFIG_MAP, config_map(home, a="1"))

    def test_a_merge_of_what_is_there_changes_nothing(
        self, port: KubeClient, home: str
    ) -> None:
        """Neither version nor time."""
        made = port.apply(CONFIG_MAP, config_map(home, a="1"))
        merged = port.patch(CONFIG_MAP, config_map(home, a="1"))

        assert metadata.resource_version(merged) == metadata.resource_version(made)

    def test_a_version_is_a_precondition(self, port: KubeClient, home: str) -> None:
        """An apply that names an older version changes nothing."""
        old = port.apply(CONFIG_MAP, config_map(home, a="1"))
        port.apply(CONFIG_MAP, config_map(home, a="2"))
        stale = config_map(home, a="3")
        stale["metadata"]["resourceVersion"] = metadata.resource_version(old)

        with pytest.raises(Conflict):
            port.apply(CONFIG_MAP, stale)

    def test_one_webhooks_field_is_applied_alone(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """An apply of one `caBundle` leaves the rest of the configuration."""
        name = f"contract-{home}"
        other.create(WEBHOOK_CONFIGURATION, webhook_configuration(name, WEBHOOK))
        bundle = {"name": WEBHOOK["name"], "clientConfig": {"caBundle": "Cg=="}}
        try:
            result = port.apply(
                WEBHOOK_CONFIGURATION, webhook_configuration(name, bundle)
            )
        finally:
            other.delete(WEBHOOK_CONFIGURATION, name)

        assert (
            WEBHOOK["clientConfig"] | {"caBundle": "Cg=="}
            == result["webhooks"][0]["clientConfig"]
        )

    def test_a_configurations_generation_counts_its_content_alone(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """A label, or an apply of what is there already, changes nothing."""
        name = f"contract-{home}"
        other.create(WEBHOOK_CONFIGURATION, webhook_configuration(name, WEBHOOK))
        bundle = {"name": WEBHOOK["name"], "clientConfig": {"caBundle": "Cg=="}}
        labeled = {"metadata": {"name": name, "labels": {"a": "b"}}}
        bodies = (labeled, *(webhook_configuration(name, bundle),) * 2)
        try:
            seen = [port.apply(WEBHOOK_CONFIGURATION, body) for body in bodies]
        finally:
            other.delete(WEBHOOK_CONFIGURATION, name)

        assert [1, 2, 2] == [metadata.of(one)["generation"] for one in seen]

    def test_an_answer_tells_the_servers_time(
        self, port: KubeClient, home: str
    ) -> None:
        """Certificates are valid by that clock."""
        stored = port.apply(CONFIG_MAP, config_map(home))

        said, created = port.server_time(), metadata.creation_time(stored)
        assert said is not None
        assert created is not None
        assert abs((said - created).total_seconds()) <= 2

    def test_a_taken_name_cannot_be_created(self, port: KubeClient, home: str) -> None:
        """Create is exclusive; that is what leader election rests on."""
        port.create(CONFIG_MAP, config_map(home))

        with pytest.raises(AlreadyExists):
            port.create(CONFIG_MAP, config_map(home))

    def test_a_missing_object_is_not_found(self, port: KubeClient, home: str) -> None:
        """Get and delete name what is missing."""
        with pytest.raises(NotFound):
            port.get(CONFIG_MAP, "missing", home)
        with pytest.raises(NotFound):
            port.delete(CONFIG_MAP, "missing", home)

    def test_nothing_is_created_in_a_missing_namespace(self, port: KubeClient) -> None:
        """The namespace is what is not found."""
        with pytest.raises(NotFound):
            port.apply(CONFIG_MAP, config_map("no-such-namespace"))

    def test_delete_takes_only_the_object_it_names(
        self, port: KubeClient, home: str
    ) -> None:
        """Another object of that name, or a newer version of it, stays."""
        old = port.apply(CONFIG_MAP, config_map(home, a="1"))
        new = port.apply(CONFIG_MAP, config_map(home, a="2"))

        with pytest.raises(Conflict):
            port.delete(
                CONFIG_MAP,
                "c",
                home,
                only=Preconditions(version=metadata.resource_version(old)),
            )
        with pytest.raises(Conflict):
            port.delete(CONFIG_MAP, "c", home, only=Preconditions(uid="another"))
        port.delete(CONFIG_MAP, "c", home, only=Preconditions(uid=metadata.uid(new)))
        with pytest.raises(NotFound):
            port.get(CONFIG_MAP, "c", home)

    def test_a_secrets_type_never_changes(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """An apply with another type is refused as a whole, force or not."""
        other.apply(SECRET, secret(home, A="MQ=="))

        with pytest.raises(Invalid) as caught:
            port.apply(SECRET, secret(home, kind="example.org/mine", B="Mg=="))
        assert caught.value.fields == ("type",)
        assert port.get(SECRET, "s", home)["data"] == {"A": "MQ=="}

    def test_an_immutable_secret_never_changes(
        self, port: KubeClient, other: KubeClient, home: str
    ) -> None:
        """Neither an apply nor a merge changes its data; the refusal names `data`."""
        port.apply(SECRET, secret(home, A="MQ=="))
        other.patch(SECRET, secret(home, B="Mg==") | {"immutable": True})

        with pytest.raises(Invalid) as applied:
            port.apply(SECRET, secret(home, A="Mg=="))
        with pytest.raises(Invalid) as merged:
            port.patch(SECRET, secret(home) | {"data": {"B": None}})
        assert applied.value.fields == merged.value.fields == ("data",)
        assert port.get(SECRET, "s", home)["data"] == {"A": "MQ==", "B": "Mg=="}

    def test_a_terminating_namespace_takes_nothing_new(
        self, port: KubeClient, terminating: str
    ) -> None:
        """It is told apart from a missing right."""
        with pytest.raises(Terminating):
            port.apply(CONFIG_MAP, config_map(terminating))

    def test_a_list_is_projected_and_selected(
        self, port: KubeClient, home: str
    ) -> None:
        """Only what is selected comes back, as the projection of each."""
        for name, team in (("one", "a"), ("two", "b"), ("three", "c")):
            body = config_map(home, name, team=team)
            body["metadata"]["labels"] = {"team": team}
            port.apply(CONFIG_MAP, body)
        selection = ListOptions(CONFIG_MAP, namespace=home, labels="team in (a,b)")

        listing = port.list(selection, lambda body: str(body["data"]["team"]))

        assert {ObjectKey(home, "one"): "a", ObjectKey(home, "two"): "b"} == {
            key: value for key, (_, value) in listing.items.items()
        }

    def test_a_name_is_selected_across_namespaces(
        self, port: KubeClient, home: str
    ) -> None:
        """One name everywhere: what a right bound to a name allows."""
        port.apply(CONFIG_MAP, config_map(home, f"{home}-only"))
        port.apply(CONFIG_MAP, config_map(home, "another"))

        listing = port.list(ListOptions(CONFIG_MAP, name=f"{home}-only"), metadata.uid)

        assert [ObjectKey(home, f"{home}-only")] == list(listing.items)

    def test_a_watch_tells_what_came_after_the_list(
        self, port: KubeClient, home: str
    ) -> None:
        """Nothing between list and watch is lost."""
        selection = ListOptions(CONFIG_MAP, namespace=home, name="c")
        version = port.list(selection, metadata.uid).version
        port.apply(CONFIG_MAP, config_map(home, a="1"))

        stream = port.watch(selection, version, seconds=5)

        assert until_first(stream, WatchEventType.UPSERT).body["data"] == {"a": "1"}

    def test_a_watch_tells_a_delete(self, port: KubeClient, home: str) -> None:
        """A delete comes with a newer version than the last change."""
        selection = ListOptions(CONFIG_MAP, namespace=home, name="c")
        made = port.apply(CONFIG_MAP, config_map(home, a="1"))
        stream = port.watch(selection, metadata.resource_version(made), seconds=5)
        port.delete(CONFIG_MAP, "c", home)

        gone = until_first(stream, WatchEventType.DELETED)

        assert metadata.revision(gone.body) > metadata.revision(made)

    def test_what_leaves_the_selection_is_told_as_deleted(
        self, port: KubeClient, home: str
    ) -> None:
        """An unlabeled object is gone for whoever watches the label."""
        body = config_map(home, a="1")
        body["metadata"]["labels"] = {"team": "a"}
        made = port.apply(CONFIG_MAP, body)
        selection = ListOptions(CONFIG_MAP, namespace=home, labels="team=a")
        stream = port.watch(selection, metadata.resource_version(made), seconds=5)
        port.apply(CONFIG_MAP, config_map(home, a="1"))

        assert (
            metadata.key(until_first(stream, WatchEventType.DELETED).body).name == "c"
        )

    def test_a_quiet_watch_ends_when_it_was_asked_to(
        self, port: KubeClient, home: str
    ) -> None:
        """Silence has an end, so that a dead connection can be told from it."""
        selection = ListOptions(CONFIG_MAP, namespace=home, name="c")
        version = port.list(selection, metadata.uid).version
        done = threading.Event()

        def follow() -> None:
            for _ in port.watch(selection, version, seconds=1):
                pass
            done.set()

        threading.Thread(target=follow, daemon=True).start()

        assert done.wait(5)

    def test_an_old_version_is_gone(
        self, port: KubeClient, home: str, compact: None
    ) -> None:
        """After a compaction, a watch from before it has to list again."""
        with pytest.raises(Gone):
            list(port.watch(ListOptions(NAMESPACE), "1", seconds=2))

    def test_a_label_write_has_a_time(self, port: KubeClient, home: str) -> None:
        """The managed fields tell who wrote a label, and when."""
        body = config_map(home)
        body["metadata"]["labels"] = {"team": "a"}
        made = port.apply(CONFIG_MAP, body)
        path = ("metadata", "labels", "team")

        assert metadata.creation_time(made) == metadata.last_write_time(
            made, *path, manager="tracking-injector"
        )
        assert metadata.last_write_time(made, *path, manager="somebody-else") is None
