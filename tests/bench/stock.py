"""gunicorn's own asgi worker around our answer: what our worker has to beat.

The same settings, decision, log and metrics; the hot request answered by an ASGI
callable. It has none of our deadlines, bounds or drain.
"""

import argparse
from pathlib import Path
from typing import Any

from webhook.server.certwatcher import load, read
from webhook.server.gunicorn_app import GunicornApp, options
from webhook.settings import Settings


class Stock(GunicornApp):
    """Our process tree with gunicorn's worker in it."""

    def load_config(self) -> None:
        """Our settings, and TLS as gunicorn does it."""
        context = load(read(self.settings.cert_dir)).context
        stock = {
            "bind": [self.settings.bind],
            "worker_class": "asgi",
            "asgi_loop": "uvloop",
            "asgi_lifespan": "off",
            "http_parser": "fast",
            "keepalive": 120,
            "certfile": str(self.settings.cert_dir / "tls.crt"),
            "keyfile": str(self.settings.cert_dir / "tls.key"),
            "ssl_context": lambda _config, _default: context,
        }
        for name, value in (dict(options(self.settings, self.handler)) | stock).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Reviews, on whichever path."""
        answer = self.handler.answer

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            kind = b"".join(v for k, v in scope["headers"] if k == b"content-type")
            status, text = answer(body, kind.decode("latin-1"))
            length = (b"content-length", b"%d" % len(text))
            head = [(b"content-type", b"application/json"), length]
            start = {"type": "http.response.start", "status": status, "headers": head}
            await send(start)
            await send({"type": "http.response.body", "body": text})

        return app


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cert-dir", type=Path, required=True)
    parser.add_argument("--bind", required=True)
    args = parser.parse_args()
    Stock(Settings(cert_dir=args.cert_dir, bind=args.bind)).run()


if __name__ == "__main__":
    main()
