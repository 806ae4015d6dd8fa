"""A PostgreSQL server for tests: a cluster in a temporary folder, on a socket in it, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi

PASSWORD = "p4ss-of-the-erp"


def binaries() -> Path | None:
    """Folder of PostgreSQL's programs, the newest there is; None where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(installed, key=lambda path: int(path.parent.parent.name), default=None)
    return None if newest is None else newest.parent


class Server:
    """A running server, and somebody who owns what is in it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder, self._programs = folder, programs
        self.database = "erp"

    def dsn(self, user: str = "owner", password: str = PASSWORD, database: str = "") -> str:
        """Address of a database on it."""
        return (
            f"postgresql://{user}:{password}@/{database or self.database}"
            f"?host={self._folder}&client_encoding=UTF8"
        )

    def execute(self, *statements: str, user: str = "owner") -> None:
        """Run statements, all in one transaction."""
        with self.session(user) as cursor:
            for statement in ("BEGIN", *statements, "COMMIT"):
                cursor.execute(statement)

    @contextmanager
    def session(self, user: str = "owner") -> Iterator[Any]:
        """A connection of its own, which decides on its transactions."""
        with (
            closing(dbapi.connect(self.dsn(user), autocommit=True)) as connection,
            closing(connection.cursor()) as cursor,
        ):
            yield cursor

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self._folder / "data"))

    def start(self) -> None:
        """Make the cluster where there is none, and start it."""
        data = self._folder / "data"
        if not data.exists():
            words = self._folder / "password"
            words.write_text(PASSWORD)
            words.chmod(0o644)
            self._run(
                "initdb", "-D", str(data), "-U", "owner", "--pwfile", str(words), "--no-sync",
                "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
            )  # fmt: skip
        # The log goes to a file, or the server would hold this process's pipes open.
        self._run(
            "pg_ctl", "start", "-w", "-D", str(data), "-l", str(self._folder / "log"),
            "-o", f"-c listen_addresses= -k {self._folder} -c fsync=off -c shared_buffers=16MB",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = _unprivileged()
            command = [
                "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                *command,
            ]  # fmt: skip
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")


@contextmanager
def running_server(programs: Path) -> Iterator[Server]:
    """A server that runs as long as the block."""
    # Not below pytest's own folder: paths of sockets are short, and root's folders are closed.
    folder = Path(tempfile.mkdtemp(prefix="siyu-pg-"))
    if os.geteuid() == 0:
        user = _unprivileged()
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Server(folder, programs)
    try:
        server.start()
        server.database = "postgres"
        with server.session() as cursor:
            cursor.execute("CREATE DATABASE erp")
        server.database = "erp"
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]
