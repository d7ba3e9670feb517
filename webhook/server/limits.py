"""What one client may take, and for how long: every number with its reason."""

from typing import Final

from webhook.server.metrics import Phase

SECONDS: Final = {
    Phase.HANDSHAKE: 5.0,
    Phase.FIRST_REQUEST: 10.0,
    Phase.REQUEST: 10.0,
    Phase.ANSWER: 10.0,
    Phase.IDLE: 120.0,
    Phase.CLOSING: 2.0,
}
"""Deadlines. kube-apiserver waits 3 s for us and at most 30 s for any webhook: what
takes 10 s is no use to it. It keeps idle connections for 90 s, so we must keep them
longer: only the client can close one without losing a request of its own. A closed peer
gets 2 s to read its last answer."""

HEAD_LIMITS: Final = {
    "limit_request_line": 4094,
    "limit_request_fields": 50,
    "limit_request_field_size": 8190,
}
"""Of a request: `POST /mutate?timeout=10s` has 30 bytes, a client's own headers 300."""

BODY_LIMIT: Final = 7 << 19
"""Bytes: 3.5 MiB. An object has at most 3 MiB as received, a CREATE has no other one,
and the rest of a review fits in half of one more."""

LARGE_BODIES: Final = 16 << 20
"""Bytes that all bodies beyond `SMALL_BODY` may hold together, whoever sends them."""

PIECE: Final = 16 << 10
"""Bytes that are read at once: a TLS record. The parser moves the rest of them at each
chunk's end, so that 256 KiB of tiny chunks would take it half a second."""

READS: Final = 8
"""Pieces that one client may have read in its turn, while its request is not whole."""

PIPELINED: Final = 64
"""Requests that one client may have sent ahead; one that has sent more is cut off.
kube-apiserver waits for each answer."""

FORGOTTEN: Final = 16 << 20
"""Bytes that a client may still send after its last answer, so that it reads that."""

RENDERS: Final = 16
"""Scrapes that may wait for their turn; one is rendered at a time."""

RENDER_SHARE: Final = 4
"""Times a rendering's own time that pass before the next: whoever scrapes without end
gets a fifth of the process at most."""

CROWD: Final = 50
"""Connections that are more than a cluster's API servers keep."""

QUIET_SECONDS: Final = 1.0
"""Without a request for this long, a stopping process may close its listener."""

DRAIN_LIMIT: Final = 15.0
"""Seconds beyond the drain's own time, for a client that never stops asking."""
