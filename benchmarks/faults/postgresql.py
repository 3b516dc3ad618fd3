"""A PostgreSQL of one's own: Debian's package, started on 127.0.0.1 in a temporary folder, and removed afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
AS_POSTGRES = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # which won't run as root


class Server:
    """A fresh server whose database `postgres` the user `ann` opens with a password; a context manager.

    It listens at `address`; `within` is the command that runs another one where that is, in a network namespace, say.
    """

    def __init__(self, password: str = "s3cr3t-of-ann", address: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
        self.password, self.address, self.within = password, address, list(within)
        self.folder = Path(tempfile.mkdtemp(prefix="leadline-postgresql-"))  # short, and the server's user reaches it
        self.data = str(self.folder / "data")

    @staticmethod
    def lacking() -> str:
        """Returns what keeps a server from being started here, nothing if all is there."""
        if not BINARIES:
            return "PostgreSQL isn't installed (no /usr/lib/postgresql/*/bin/initdb)"
        return "root can't start PostgreSQL without `runuser`" if AS_POSTGRES and not shutil.which("runuser") else ""

    @property
    def url(self) -> str:
        """The address of its database."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Returns the address of one of its databases."""
        return f"postgresql+psycopg://ann:{self.password}@{self.address}:{self.port}/{database}"

    def __enter__(self) -> Server:
        self.folder.chmod(0o777)
        (self.folder / "password").write_text(self.password)
        try:
            self._call("initdb", "-U", "ann", "-A", "scram-sha-256", "--pwfile", f"{self.folder}/password", "--no-sync")
            with open(f"{self.data}/pg_hba.conf", "a") as allowed:
                allowed.write(f"host all all {self.address}/24 scram-sha-256\n")
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Starts the server, and waits until it takes connections."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={self.address} -c fsync=off"
        self._call("pg_ctl", "-o", options, "-l", f"{self.data}/server.log", "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        """Stops it: "fast" hangs up on everybody, "immediate" is as a crash."""
        self._call("pg_ctl", "-m", how, "-w", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        command = [*self.within, *AS_POSTGRES, str(BINARIES[-1].parent / program), "-D", self.data, *arguments]
        # into a file: the server inherits the output and would keep a pipe open
        with open(self.folder / "output", "ab") as output:
            ran = subprocess.run(
                command, cwd=self.folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=60
            )
        if ran.returncode:
            raise RuntimeError(f"{program} failed:\n{(self.folder / 'output').read_text()}")
