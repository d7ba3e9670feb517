"""What one client may take, and for how long: every number with its reason."""

from typing import Final

from webhook.server.metrics import Phase

HANDSHAKE_SECONDS: Final = 5.0
"""Half of what kube-apiserver allows; one takes milliseconds."""

SECONDS: Final = {
    Phase.FIRST_REQUEST: 10.0,
    Phase.REQUEST: 10.0,
    Phase.ANSWER: 10.0,
    Phase.IDLE: 120.0,
    Phase.CLOSING: 2.0,
}
"""Deadlines. kube-apiserver waits 3 s for us and at most 30 s for any handler: what
takes 10 s is no use to it. It keeps idle connections for 90 s, so we must keep them
longer: only the client can close one without losing a request of its own. A closed peer
gets 2 s to read its last answer."""

BODY_LIMIT: Final = 7 << 20
"""Bytes. An object has at most 3 MiB as received; `object` and `oldObject` make two of
them, and the rest of a review fits in one more."""

SMALL_BODY: Final = 64 << 10
"""Bytes of a body that is always taken. A real pod has about 10 KB."""

LARGE_BODIES: Final = 64 << 20
"""Bytes that all larger bodies may hold together, whoever sends them."""

PIECE: Final = 16 << 10
"""Bytes that the parser gets at once. It moves the rest of them at each chunk's end:
256 KiB of tiny chunks, as a loop delivers them, would take it half a second."""

PIPELINED: Final = 64
"""Reviews that one client may have answered before the others get their turn; one that
has sent more is cut off. kube-apiserver waits for each answer."""

CROWD: Final = 50
"""Connections that are more than a cluster's API servers keep."""

QUIET_SECONDS: Final = 1.0
"""Without a request for this long, a stopping process may close its listener."""

DRAIN_LIMIT: Final = 15.0
"""Seconds beyond the drain's own time, for a client that never stops asking."""
