"""`tracking-injector serve`: answer kube-apiserver over TLS."""

import os
from datetime import UTC, datetime

import click

from webhook.server.gunicorn_app import GunicornApp
from webhook.server.handler import to_stdout
from webhook.settings import PREFIX, SettingError, Settings


@click.command()
@click.option(
    "--cert-dir",
    metavar="DIR",
    help="Folder with tls.crt and tls.key; looked at every second.",
)
@click.option("--bind", metavar="HOST:PORT", help="The HTTPS listener.")
@click.option(
    "--health-bind",
    metavar="HOST:PORT",
    help="The plain listener: /healthz, /readyz, /metrics.",
)
def serve(cert_dir: str | None, bind: str | None, health_bind: str | None) -> None:
    """Answer kube-apiserver over TLS.

    Settings are environment variables that begin with MTI_; an option here beats its
    variable. Without a usable certificate the process runs, is not ready, and waits
    for one. SIGTERM drains, SIGINT and SIGQUIT stop at once.
    """
    given = {"CERT_DIR": cert_dir, "BIND": bind, "HEALTH_BIND": health_bind}
    flags = {PREFIX + name: value for name, value in given.items() if value}
    try:
        settings = Settings.from_environ(os.environ | flags)  # noqa: TID251 - the edge
    except SettingError as problem:
        raise click.UsageError(str(problem)) from problem
    GunicornApp(settings, clock=_now, write=to_stdout).run()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the process's clock
