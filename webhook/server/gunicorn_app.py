"""gunicorn's settings, each with its reason, and the start of the process tree."""

import gc
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from webhook.jsonlog import JsonLogHandler
from webhook.server.app import create_app, create_probe_app
from webhook.server.certwatcher import CertWatcher
from webhook.server.handler import AdmissionHandler, build, to_stdout, utc_now
from webhook.server.limits import DRAIN_LIMIT
from webhook.server.worker import AdmissionWorker
from webhook.settings import Settings

HEARTBEATS: Final = Path("/dev/shm")  # noqa: S108 - memory, as gunicorn advises
"""Where workers touch a file each second; a disk could stall that."""


class GunicornApp(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """The serving process tree: gunicorn's arbiter and one worker.

    Attributes:
        settings: The operator's.
        handler: What answers.
        probes: The plain port's application.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        write: Callable[[bytes], object] = to_stdout,
    ) -> None:
        """Make the applications, before any fork, so that workers share their memory.

        Args:
            settings: The operator's.
            clock: The time now, in UTC.
            write: Takes whole log lines.
        """
        self.settings = settings
        self.handler: AdmissionHandler = build(
            settings,
            clock=clock,
            write=write,
            certificates=CertWatcher(settings.cert_dir),
        )
        self._app = create_app(settings, self.handler)
        self.probes = create_probe_app(self.handler)
        super().__init__()

    def load_config(self) -> None:
        """Hand gunicorn its settings."""
        for name, value in options(self.settings, self.handler).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The serving port's application."""
        return self._app


def options(settings: Settings, handler: AdmissionHandler) -> Mapping[str, Any]:
    """Gunicorn's settings.

    Args:
        settings: The operator's.
        handler: Whose log takes gunicorn's own lines.
    """
    return {
        # The order tells the worker which is which.
        "bind": [settings.bind, settings.health_bind],
        "worker_class": AdmissionWorker,
        # One: a second would double the memory and halve what each metric means.
        # More work is for more replicas.
        "workers": 1,
        "worker_connections": settings.max_connections,
        # A turn of the loop takes milliseconds; a worker that is silent for so long
        # is stuck, and is replaced.
        "timeout": 30,
        "graceful_timeout": int(settings.drain_seconds + DRAIN_LIMIT) + 5,
        # A restart by count would only hide a leak.
        "max_requests": 0,
        # A thread does not survive the fork, and its last lines are of the end.
        "post_fork": lambda _arbiter, _worker: handler.log.start(),
        "worker_exit": lambda _arbiter, _worker: handler.log.close(),
        # No second door: gunicorn opens a control socket by default.
        "control_socket_disable": True,
        "worker_tmp_dir": str(HEARTBEATS) if HEARTBEATS.is_dir() else None,
        "preload_app": True,
        # What is there before the fork stays shared: the collector never touches it.
        "when_ready": lambda _: gc.freeze(),
        "proc_name": "tracking-injector",
        "accesslog": None,
        "logconfig_dict": _logging(handler),
    }


def _logging(handler: AdmissionHandler) -> Mapping[str, Any]:
    """Everything that any library logs goes into the log."""
    through = {"handlers": [], "propagate": True, "level": "INFO"}
    # An access log would repeat what anybody writes into a request line; a decision
    # has its own line.
    nothing = {"handlers": [], "propagate": False, "level": "CRITICAL"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "json": {"()": JsonLogHandler, "log": handler.log},
        },
        "root": {"handlers": ["json"], "level": "WARNING"},
        "loggers": {"gunicorn.error": through, "gunicorn.access": nothing},
    }
