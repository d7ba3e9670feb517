"""URIs with a canary wherever a credential may stand, and hosts that are harmless."""

import random
from urllib.parse import quote

from webhook.uri import PORTS

CANARY = "QZJ7XVK9WY"
"""No three characters of it, in either case, stand in any name or sentence of ours."""
PIECES = frozenset(
    piece
    for text in (CANARY, CANARY.lower())
    for start in range(len(text) - 2)
    for piece in [text[start : start + 3]]
)
SPECIAL = (
    "#?/@:;,=&%[]\\|'\"` +.-_!$*(){}<>^~\t\n\xa0\u3000\uff20\uff0f\uff03\ufeff0123"
)
HOSTS = [
    "db.example.com",
    "mlflow",
    "10.0.0.5",
    "[2001:db8::1]",
    "t.ml.",
    "b\xfc.de",
    "",
]
SCHEMES = [*PORTS, "postgresql+psycopg2", "mysql+pymysql", "HTTPS", "s3", "databricks"]
SCHEMES += ["azureml", "uc:http", "file", "sqlite", "x"]


def with_canary(choose: random.Random) -> str:
    """A canary as it might stand in a password: cut, and full of what means something.

    At least three characters of it stay together.
    """
    cut = choose.randint(3, len(CANARY) - 3)
    text = f"{CANARY[:cut]}{choose.choice(SPECIAL)}{CANARY[cut:]}"
    for _ in range(choose.randint(0, 3)):
        place = choose.choice([0, len(text)])
        text = text[:place] + choose.choice(SPECIAL) + text[place:]
    text = choose.choice([text, text, text.lower(), quote(text, safe="")])
    return choose.choice([text, f"p{text}", f"31#{text}", f"{text}:80", f"x/{text}"])


def a_uri(choose: random.Random) -> str:
    """A URI whose host is harmless and the rest of which is not."""
    secret = dict.fromkeys(("user", "password", "path", "query", "fragment"), "")
    for part in choose.sample(sorted(secret), choose.randint(1, 3)):
        secret[part] = with_canary(choose)
    said = f"{secret['user'] or choose.choice(['', 'me'])}"
    if secret["password"] or choose.random() < 0.3:
        said += f":{secret['password']}"
    uri = f"{said}@" if said else ""
    between = choose.choice(["://"] * 12 + [":/", ":", "//"])
    # Without a host, what follows a missing slash would be one.
    uri += choose.choice(HOSTS if between == "://" else HOSTS[:-1]) + choose.choice(
        ["", "", ":5000", ":x", ":"]
    )
    uri += (
        f"/{secret['path']}" if secret["path"] else choose.choice(["", "/", "/mlflow"])
    )
    if secret["query"]:
        uri += f"?{choose.choice(['password=', 'a=1&b=', ''])}{secret['query']}"
    if secret["fragment"]:
        uri += f"#{secret['fragment']}"
    wrapped = choose.choice(["{}"] * 8 + ["'{}'", '"{}"', "\ufeff{}", " {}\n"])
    return wrapped.format(choose.choice(SCHEMES) + between + uri)


def pieces(text: str) -> set[str]:
    """The pieces of the canary that are in a text."""
    return {piece for piece in PIECES if piece in text}
