"""An SFTP server of this process, over a folder: real SSH on loopback.

with sftp_server(folder, home) as url:
    ... url + "/clips" ...
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "me", "sftpSeCret-42"


@contextmanager
def sftp_server(folder: Path, home: Path, known: bool = True) -> Iterator[str]:
    """Serve `folder`; the server's key goes to the known hosts in `home` if it is to be `known`."""
    if "CI" not in os.environ:
        pytest.importorskip("paramiko")
    import paramiko

    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if known:
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    transports: list[Any] = []
    threading.Thread(target=_accept, args=(listener, key, folder, transports), daemon=True).start()
    try:
        yield f"sftp://{USER}:${{SFTP_PASSWORD}}@127.0.0.1:{port}"
    finally:
        listener.close()
        for transport in transports:
            transport.close()


def _accept(listener: socket.socket, key: Any, folder: Path, transports: list[Any]) -> None:
    import paramiko

    server, files = _classes(folder)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        transport = paramiko.Transport(connection)
        transports.append(transport)
        transport.add_server_key(key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, files)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):  # a client that goes at once
            transport.start_server(server=server())


def _classes(folder: Path) -> tuple[Any, Any]:
    import paramiko
    from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
    from paramiko.sftp import SFTP_OK

    class Server(paramiko.ServerInterface):
        def check_auth_password(self, username: str, password: str) -> int:
            return AUTH_SUCCESSFUL if (username, password) == (USER, PASSWORD) else AUTH_FAILED

        def get_allowed_auths(self, username: str) -> str:
            return "password"

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return OPEN_SUCCEEDED

    class Files(paramiko.SFTPServerInterface):
        def _path(self, path: str) -> str:
            return f"{folder}/{self.canonicalize(path)}"

        def _do(self, act: Any, *arguments: Any) -> Any:
            try:
                act(*arguments)
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)
            return SFTP_OK

        def stat(self, path: str) -> Any:
            try:
                return paramiko.SFTPAttributes.from_stat(os.stat(self._path(path)))
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)

        lstat = stat

        def list_folder(self, path: str) -> Any:
            try:
                names = os.listdir(self._path(path))
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)
            top = self._path(path)
            return [paramiko.SFTPAttributes.from_stat(os.stat(f"{top}/{name}"), name) for name in names]

        def open(self, path: str, flags: int, attr: Any) -> Any:
            try:
                opened = os.open(self._path(path), flags, 0o600)
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno or 0)
            handle = paramiko.SFTPHandle(flags)
            mode = "w+b" if flags & os.O_RDWR else "wb" if flags & os.O_WRONLY else "rb"
            handle.readfile = handle.writefile = os.fdopen(opened, mode)  # type: ignore[attr-defined]
            return handle

        def remove(self, path: str) -> Any:
            return self._do(os.remove, self._path(path))

        def posix_rename(self, oldpath: str, newpath: str) -> Any:
            return self._do(os.replace, self._path(oldpath), self._path(newpath))

        def mkdir(self, path: str, attr: Any) -> Any:
            return self._do(os.mkdir, self._path(path))

    return Server, Files
