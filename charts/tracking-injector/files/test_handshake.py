"""Asks the webhook whether it is ready, trusting it as the API server does."""

import sys
import urllib.error
import urllib.request
from ssl import create_default_context

url, authority = sys.argv[1:]
context = create_default_context(cafile=authority)
try:
    answer = urllib.request.urlopen(  # noqa: S310 - the chart's own address
        url, timeout=10, context=context
    )
    with answer:
        print(answer.read().decode())  # noqa: T201 - the test's log
except urllib.error.HTTPError as error:
    sys.exit(f"{url}: the webhook is not ready: {error.read().decode()}")
except urllib.error.URLError as error:
    sys.exit(f"{url}: {error.reason}")
