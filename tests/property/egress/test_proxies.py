"""What is dialed is what `requests` dials, over generated variables and servers."""

import random
from unittest import mock

import pytest
from requests import Request
from requests.utils import (
    get_environ_proxies,
    prepend_scheme_if_needed,
    select_proxy,
)
from urllib3.util import parse_url

from webhook.egress.proxies import Proxies
from webhook.uri import server

PAIRS = 6_000
LABELS = ["t", "ml", "a.t", "com", "x-y", "T", "ML"]
PROXIES = ["http://p1:1", "p2.x:2", "socks5://p3", "https://p4", "", "http://u:pw@p5:5"]
ENTRIES = """
* :80 :5000 5000 10/8 10.0/8 10.1/16 10.0.0.0/8 10.1.2.0/24 012.0.0.0/8 0xa.1.2.3/16
0.0.0.0/0 0/1 10.1.2.3/33 10.1.2.3/ /8 10.1.2.3/8/8 10.1.2.3/+8 10.1.2.3/1_6 -1/8
10.1.2.3/-8 10.256/16 08.1.1.1/8 2001:db8::/32 2001:db8::1 db8::1 2001:db8: ::1
[2001:db8::1] ml ML x.ml 10. 2.3 .2.3 *.ml . .. t.ml. localhost
""".split()  # noqa: SIM905 - as it stands in a variable


def a_host(choose: random.Random) -> str:
    """A name or an address, as a URI has it."""
    name = ".".join(choose.choices(LABELS, k=choose.randint(1, 3)))
    address = f"10.1.2.{choose.randint(0, 255)}"
    others = ["192.168.0.1", "[2001:db8::1]", "[2001:DB8:0:0::1]", "[::1]", "localhost"]
    return choose.choice(
        [name, f"{name}.", address, *others, "b\xfccher.example", "b\xfccher.example."]
    )


def an_entry(choose: random.Random, host: str) -> str:
    """One of `NO_PROXY`, mostly about the host."""
    half = host[len(host) // 2 :]
    about = [host, host.upper(), f".{host}", f"..{host}", f" {host} ", f"{host}."]
    about += [host[1:], half, f"{host}:80", f"{host}:5000", f".{half}"]
    return choose.choice(choose.choice([about, ENTRIES]))


def variables(choose: random.Random, host: str) -> dict[str, str]:
    """The proxy variables of a container."""
    names = ["http_proxy", "https_proxy", "all_proxy"]
    names += [name.upper() for name in names] + ["Http_Proxy"]
    found = {n: choose.choice(PROXIES) for n in names if choose.random() < 0.35}
    for name, often in (("no_proxy", 0.6), ("NO_PROXY", 0.6), ("No_Proxy", 0.1)):
        if choose.random() < often:
            listed = [an_entry(choose, host) for _ in range(choose.randint(0, 3))]
            found[name] = choose.choice([",", ", "]).join(listed)
    return found


def dialed_by_requests(uri: str, keys: dict[str, str]) -> tuple[str | None, int | None]:
    """Host and port of the proxy; none where the server is dialed itself."""
    with mock.patch.dict("os.environ", keys, clear=True):
        asked = Request("GET", uri).prepare().url
        assert asked is not None
        proxy = select_proxy(asked, get_environ_proxies(asked))
    if not proxy:
        return None, None
    # Its types leave this function out.
    parsed = parse_url(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
    return parsed.host, parsed.port


@pytest.mark.parametrize("seed", range(4))
def test_what_is_dialed_is_what_requests_dials(seed: int) -> None:
    """Per scheme, in either case, by name, by port, by range, and spelled oddly."""
    choose = random.Random(seed)  # noqa: S311 - no secret is made of it
    proxied = 0
    for _ in range(PAIRS // 4):
        port = choose.choice(["", ":80", ":443", ":5000", ":1"])
        uri = f"{choose.choice(['http', 'https'])}://{a_host(choose)}{port}/p"
        target = server(uri)
        keys = variables(choose, target.spelled)
        proxies, findings = Proxies.read(keys)
        via = proxies.for_server(target)
        ours: tuple[str | None, int | None] = (None, None)
        if via is not None:
            proxied += 1
            there = via.server
            ours = there.host, there.port if there.explicit else None

        assert not findings
        assert ours == dialed_by_requests(uri, keys), (uri, keys)
    assert PAIRS // 20 < proxied < PAIRS // 5
