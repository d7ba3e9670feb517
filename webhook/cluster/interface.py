"""The interface of a cluster for the rest of the product.

One small protocol for every resource type: objects are JSON as the API server sends it,
and whoever keeps many passes a projection, so that whole objects never pile up.
Every method raises `webhook.cluster.errors.ClusterError` and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from webhook.cluster.resources import ResourceType

T = TypeVar("T")

Json: TypeAlias = dict[str, Any]
"""One object as the API server sends it."""


class ObjectKey(NamedTuple):
    """The address of an object among those of its kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `namespace/name`, or the name alone."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class ListOptions:
    """Which objects of a kind: by place, by name, by labels, by fields.

    A selection by name becomes a field selector, which a right bound by `resourceNames`
    covers for `list` and `watch`, in one namespace as well as across all.

    Attributes:
        kind: the resource type.
        namespace: empty means all namespaces.
        name: empty means any.
        labels: a label selector, such as `ray.io/node-type in (head,worker)`.
        fields: a field selector besides the name, such as `status.phase!=Failed`.
    """

    kind: ResourceType
    _: KW_ONLY
    namespace: str = ""
    name: str = ""
    labels: str = ""
    fields: str = ""

    def field_selector(self) -> str:
        """Return the selector that the API server gets, name included."""
        by_name = f"metadata.name={self.name}" if self.name else ""
        return ",".join(part for part in (by_name, self.fields) if part)

    def __str__(self) -> str:
        """Return the selection for people: `secrets ray/x`, `pods (labels)`."""
        where = str(ObjectKey(self.namespace, self.name or "*"))
        return f"{self.kind.plural} {where}{f' ({self.labels})' if self.labels else ''}"


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T]):
    """The projections of a selection at one moment.

    Attributes:
        items: key → (resourceVersion, projection).
        version: the resourceVersion to watch from.
    """

    items: dict[ObjectKey, tuple[int, T]]
    version: str


class WatchEventType(StrEnum):
    """What a watch says about an object."""

    UPSERT = "upsert"
    """ADDED or MODIFIED; callers treat both alike."""
    DELETED = "deleted"
    BOOKMARK = "bookmark"
    """Nothing happened up to this version; the stream is alive."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One event of a watch; for a bookmark `body` holds only the version."""

    type: WatchEventType
    body: Json


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Conditions that an object must still meet to be deleted; empty: any."""

    uid: str = ""
    version: str = ""


ANYTHING: Final = Preconditions()


class KubeClient(Protocol):
    """Reads and writes objects of any kind."""

    def get(self, kind: ResourceType, name: str, namespace: str = "") -> Json:
        """Return one object by name."""

    def list(
        self, selection: ListOptions, project: Callable[[Json], T]
    ) -> ObjectList[T]:
        """Return everything selected, projected object by object."""

    def watch(
        self, selection: ListOptions, version: str, *, seconds: float
    ) -> Iterator[WatchEvent]:
        """Return what happens after `version`, for about `seconds`, with bookmarks.

        Returns once the server has accepted the watch. It was asked to end the stream
        by then, so silence for longer means that the connection is dead: that raises
        `Unavailable` instead of waiting for ever.
        """

    def apply(self, kind: ResourceType, body: Json, *, force: bool = True) -> Json:
        """Apply server-side under our field manager: create or change.

        A `metadata.resourceVersion` in `body` is a precondition (`Conflict`); `force`
        takes over fields that another manager owns.
        """

    def server_time(self) -> datetime | None:
        """Return the time that its latest answer told, UTC, in whole seconds.

        None before the first answer, or where a proxy takes that header away.
        """

    def patch(self, kind: ResourceType, body: Json) -> Json:
        """Merge a JSON patch into what is there: null removes a field, whoever owns it.

        That is what `apply` cannot do: it leaves alone what others wrote.
        """

    def create(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        """Create; `AlreadyExists` where the name is taken.

        A dry run goes through every admission, returns what would be stored, and stores
        nothing.
        """

    def delete(
        self,
        kind: ResourceType,
        name: str,
        namespace: str = "",
        *,
        only: Preconditions = ANYTHING,
    ) -> None:
        """Delete if `only` still holds, else `Conflict`."""

    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the API groups that are served, the core one apart, with versions.

        The server's preferred version comes first.

        Every authenticated client may ask; it shows what is installed without a right
        to any of its objects.
        """

    def version(self) -> str:
        """Return the API server's version, such as `v1.36.3`."""

    def samples(self, metric: str) -> tuple[str, ...]:
        """Return the API server's own samples of one metric, as lines of text.

        That takes the right to get the path `/metrics`, which is of no resource.
        """

    def logs(self, namespace: str, pod: str, *, lines: int) -> str:
        """Return the last lines that a pod's first container has written."""

    def add_container(self, namespace: str, pod: str, container: Json) -> None:
        """Add an ephemeral container to a pod; it stays there for good.

        Args:
            namespace: the pod's.
            pod: its name.
            container: as `spec.ephemeralContainers` has it; what is there already
                cannot be changed (`Invalid`).
        """
