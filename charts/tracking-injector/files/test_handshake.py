"""Asks the webhook whether it is ready, trusting it as the API server does."""

import sys
import urllib.error
import urllib.request
from ssl import create_default_context

url, authority = sys.argv[1:]
context = create_default_context(cafile=authority)
try:
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:  # noqa: S310
        print(answer.read().decode())  # noqa: T201 - the test's log
except urllib.error.HTTPError as error:
    sys.exit(f"{url}: the webhook is not ready: {error.read().decode()}")
except urllib.error.URLError as error:
    sys.exit(f"{url}: {error.reason}")
