"""Metadata is read as Kubernetes can hold it, and never raises."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.cluster import metadata
from webhook.cluster.interface import Json, ObjectKey

ODD: list[Any] = [None, "", "x", 0, -1, 1e300, True, [], {}, [None], [[]], {"a": None}]


def body(**meta: Any) -> Json:
    """Return an object with this metadata."""
    return {"metadata": meta}


def managed(*entries: Any) -> Json:
    """Return an object with these managed fields."""
    return body(managedFields=list(entries))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456Z", datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        # Kubernetes holds these; Python cannot.
        ("0000-01-01T00:00:00Z", None),
        ("-001-12-31T10:00:00Z", None),
        ("10000-01-01T13:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2016-12-31T23:59:60Z", None),
        ("", None),
        ("yesterday", None),
        (None, None),
        (1767323045, None),
        ([], None),
    ],
)
def test_a_time_is_read_or_absent(text: object, expected: datetime | None) -> None:
    """A tenant writes managed fields with whatever time it likes."""
    assert metadata.parse_time(text) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("17", 17),
        (str(2**64 - 1), 2**64 - 1),
        ("9" * 5000, 0),
        ("-1", 0),
        ("1.5", 0),
        ("abc", 0),
        ("", 0),
        (None, 0),
        (17, 0),
    ],
)
def test_a_revision_is_a_number(version: object, expected: int) -> None:
    """Whatever is none counts as 0."""
    assert metadata.revision(body(resourceVersion=version)) == expected


def test_a_null_is_empty() -> None:
    """Not the word `None`."""
    null = body(name=None, namespace=None, uid=None, resourceVersion=None, labels=None)

    assert metadata.key(null) == ObjectKey("", "")
    assert metadata.uid(null) == metadata.resource_version(null) == ""
    assert metadata.labels(null) == metadata.annotations(null) == {}
    assert metadata.key({}) == metadata.key({"metadata": None}) == ObjectKey("", "")


def test_the_latest_write_counts() -> None:
    """Of the field, and of the manager, that was asked for."""
    early, late = "2026-01-02T03:04:05Z", "2026-02-02T03:04:05Z"
    labels: Json = {"f:metadata": {"f:labels": {"f:team": {}}}}
    found = managed(
        {"manager": "a", "time": early, "fieldsV1": labels},
        {"manager": "b", "time": late, "fieldsV1": {"f:data": {}}},
    )
    path = ("metadata", "labels", "team")

    assert metadata.last_write_time(found) == metadata.parse_time(late)
    assert metadata.last_write_time(found, *path) == metadata.parse_time(early)
    assert metadata.last_write_time(found, *path, manager="b") is None
    assert metadata.last_write_time(found, "data") == metadata.parse_time(late)
    assert metadata.last_write_time(found, manager="a") == metadata.parse_time(early)


def test_one_odd_managed_field_hides_no_other() -> None:
    """The year 0 of a tenant counts as absent."""
    good = {"time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:data": {}}}
    odd = [{"time": one, "fieldsV1": {"f:data": {}}} for one in ODD]
    odd += [{"time": "0000-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}}]
    odd += [{"time": "2027-01-02T03:04:05Z", "fieldsV1": one} for one in ODD]
    found = managed(*ODD, *odd, good)

    assert metadata.last_write_time(found, "data") == metadata.parse_time(good["time"])


def test_the_controller_is_one_of_the_owners() -> None:
    """An owner that does not control, or is none, is passed over."""
    owner = {"kind": "RayCluster", "name": "a", "controller": True}
    found = body(ownerReferences=[*ODD, {"name": "b", "controller": False}, owner])

    assert metadata.controller(found) == owner
    assert metadata.controller(body(ownerReferences=[])) is None
    for odd in ODD:
        assert metadata.controller(body(ownerReferences=odd)) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["f:data", "manager", "time", "fieldsV1", "controller"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
FIELDS = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "annotations",
    "managedFields",
    "ownerReferences",
    "creationTimestamp",
)


@given(json | st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json)))
def test_nothing_raises(meta: Any) -> None:
    """Whatever stands there."""
    for found in (meta, {"metadata": meta}):
        metadata.key(found)
        metadata.labels(found)
        metadata.annotations(found)
        metadata.revision(found)
        metadata.uid(found)
        metadata.controller(found)
        metadata.creation_time(found)
        metadata.last_write_time(found, "data", manager="a")
