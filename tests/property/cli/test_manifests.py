"""For any object: what is written is read again as it was."""

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from webhook.cli.manifests import as_json, as_yaml, read

TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.text("+-.:_0179abefoxyn~<= \n", max_size=6)
    | st.sampled_from(["No", "on", "null", "<<", "=", ".inf", "2026-01-01"])
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
FIELDS = st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS, max_size=2), max_size=3)
OBJECTS = st.builds(lambda a, b: {**a, "kind": "A", "b": b}, FIELDS, FIELDS)


def read_again(text: str) -> list[dict[str, Any]]:
    """The contents of a file's documents."""
    return [document.content for document in read(io.BytesIO(text.encode()))]


@given(st.lists(OBJECTS, min_size=1, max_size=2))
def test_what_is_written_is_read_again_as_it_was(objects: list[dict[str, Any]]) -> None:
    """Text stays text, whatever it looks like; fields stay in their order."""
    for write in (as_yaml, as_json):
        again = read_again(write(objects))

        assert objects == again
        assert [list(each) for each in objects] == [list(each) for each in again]
