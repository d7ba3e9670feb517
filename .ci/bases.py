"""The images that the Dockerfile builds on, pinned by digest.

python .ci/bases.py refresh   writes into the Dockerfile the digest that each base's tag
                              has at its registry now
python .ci/bases.py check     fails on a base without a digest; a release runs it

A base reads `NAME:TAG@sha256:…`: the tag is for people and for `refresh`, the digest is
what counts.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

ROOT: Final = Path(__file__).parents[1]
DOCKERFILE: Final = ROOT / "Dockerfile"
_ARG: Final = re.compile(r"^ARG ((?:\w+_)?BASE)=(\S+)$", re.MULTILINE)
_REFERENCE: Final = re.compile(
    r"(?P<registry>[\w.-]+(?::\d+)?)/(?P<name>[a-z0-9/._-]+):(?P<tag>[\w.-]+)"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_HUB: Final = {"docker.io": "registry-1.docker.io"}
"""Docker's registry answers under another name than its images have."""
_MANIFESTS: Final = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
)
"""Of all platforms together: one digest for each of them would pin one alone."""


class BaseError(Exception):
    """A base that cannot be read, or a registry that does not say; for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base image, as an `ARG` of the Dockerfile names it.

    Attributes:
        registry: Such as `docker.io`.
        name: Within it, such as `library/python`.
        tag: What it follows.
        digest: What is built on; empty while nobody asked the registry.
    """

    registry: str
    name: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Base":
        """Read `REGISTRY/NAME:TAG[@DIGEST]`.

        Raises:
            BaseError: It is something else.
        """
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise BaseError(f"{text} is not REGISTRY/NAME:TAG[@sha256:DIGEST]")
        return cls(**{key: value or "" for key, value in found.groupdict().items()})

    def __str__(self) -> str:
        """As the Dockerfile has it."""
        pinned = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.name}:{self.tag}{pinned}"


def bases(text: str) -> Mapping[str, Base]:
    """The bases that a Dockerfile names, by argument.

    Raises:
        BaseError: One cannot be read, or there is none.
    """
    found = {name: Base.parse(value) for name, value in _ARG.findall(text)}
    if not found:
        raise BaseError("the Dockerfile names no base as an argument")
    return found


def pinned(text: str, scheme: str = "https") -> str:
    """The Dockerfile with the digest that each base's tag has now.

    Raises:
        BaseError: A registry does not say.
    """
    for name, base in bases(text).items():
        now = replace(base, digest=digest_of(base, scheme))
        text = text.replace(f"ARG {name}={base}\n", f"ARG {name}={now}\n")
    return text


def digest_of(base: Base, scheme: str = "https") -> str:
    """The digest that a tag has at its registry.

    Raises:
        BaseError: The registry does not say.
    """
    host = _HUB.get(base.registry, base.registry)
    url = f"{scheme}://{host}/v2/{base.name}/manifests/{base.tag}"
    headers = {"Accept": _MANIFESTS}
    try:
        try:
            found = _head(url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            challenge = error.headers.get("WWW-Authenticate", "")
            token = _token(challenge, base, scheme)
            found = _head(url, headers | {"Authorization": f"Bearer {token}"})
    except (OSError, ValueError) as error:
        raise BaseError(
            f"{base.registry} does not say what {base} is: {error}"
        ) from error
    if not _DIGEST.fullmatch(found):
        raise BaseError(f"{base.registry} names no digest for {base}")
    return found


def _head(url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, headers=dict(headers), method="HEAD")  # noqa: S310 - of this file
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _token(challenge: str, base: Base, scheme: str) -> str:
    """A token to read with, for nobody in particular, as the challenge asks."""
    asked = dict(_PARAMETER.findall(challenge))
    realm = asked.pop("realm", "")
    if not challenge.startswith("Bearer ") or not realm.startswith(f"{scheme}://"):
        raise ValueError("its challenge is none that is known")
    asked["scope"] = f"repository:{base.name}:pull"
    with urllib.request.urlopen(f"{realm}?{urlencode(asked)}", timeout=30) as answer:  # noqa: S310 - checked above
        given = json.load(answer)
    return str(given.get("token") or given["access_token"])


def unpinned(text: str) -> Iterator[str]:
    """What a release must not be built on."""
    for name, base in bases(text).items():
        if not base.digest:
            yield f"{name} is {base}, which may be another image tomorrow"


def main() -> int:
    """Refresh or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["refresh", "check"])
    command = parser.parse_args().command
    text = DOCKERFILE.read_text("utf-8")
    try:
        if command == "refresh":
            DOCKERFILE.write_text(pinned(text), "utf-8")
            return 0
        problems = list(unpinned(text))
    except BaseError as error:
        problems = [str(error)]
    for one in problems:
        print(one, file=sys.stderr)
    if problems and command == "check":
        print(
            "`.ci/run bases` writes the digests; it needs the registry", file=sys.stderr
        )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
