"""Object storage on this machine, for tests."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

BUCKET = "drop-zone"
NOW = datetime.now(UTC)


class Storage:
    """A bucket on a server on this machine; objects are put past the network, which is not tested."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self.endpoint = f"{host}:{port}"
        self._backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.create_bucket(BUCKET, "us-east-1")

    def put(self, key: str, data: bytes, at: datetime | None = None) -> None:
        """Put an object, as if at a time."""
        made = self._backend.put_object(BUCKET, key, data)
        made.last_modified = (at or NOW - timedelta(days=1)).replace(tzinfo=None, microsecond=0)

    def require_credentials(self, required: bool) -> None:
        """Whether requests need a known key from now on."""
        request = urllib.request.Request(
            f"http://{self.endpoint}/moto-api/reset-auth",
            data=b"0" if required else b"inf",
            method="POST",
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()


@contextmanager
def running_storage() -> Iterator[ThreadedMotoServer]:
    """A server that speaks S3, as long as the block runs."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    yield started
    started.stop()


@contextmanager
def empty_storage(server: ThreadedMotoServer) -> Iterator[Storage]:
    """Nothing but an empty bucket."""
    made = Storage(server)
    yield made
    made.require_credentials(False)
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
