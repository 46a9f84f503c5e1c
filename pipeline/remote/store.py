"""A folder, bucket or file of a store: one face for all that `fsspec` knows."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import InputError, OutputError
from pipeline.input_paths import scheme_of
from pipeline.redaction import redact
from pipeline.remote.errors import told
from pipeline.remote.urls import WITH_FOLDERS, joined, name_below

_VERSIONS = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "modified", "created")
"""What stores call that which changes with an object, best first."""
_AUTHORITY = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_S3 = {"connect_timeout": 10, "read_timeout": 60, "signature_version": "s3v4"}
"""Of botocore. Seconds to wait for a store that does not answer: chosen by hand, botocore's own are 60 both, five times
over. The signature: what all regions and all stores of other makers take."""
_TALKATIVE = ("aiobotocore", "azure", "boto3", "botocore", "fsspec", "gcsfs", "google", "paramiko", "s3fs", "urllib3")
"""Packages that log addresses with their signatures, and what they sign, at the level DEBUG."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a store."""

    name: str
    """Below the URL of the store; empty if that is the file."""
    size: int
    """Bytes."""
    version: str
    """Changes when the file does: size, and its ETag or time of change."""


class Store:
    """What lies at and below a URL.

    Args:
        url: Variables of the environment in user and host are filled in here, and nowhere else.
        alone: With a connection of its own where threads cannot share one.
    """

    def __init__(self, url: str, alone: bool = False) -> None:
        self.url = url.rstrip("/")
        self.display = redact(self.url)
        self.scheme = scheme_of(url) or ""
        self._alone = alone

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec.core

        from pipeline.config.loading import fill_in

        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        more: dict[str, Any] = {}
        if self.scheme in WITH_FOLDERS:
            more["skip_instance_cache"] = self._alone
            from pipeline.remote.known_hosts import KnownHosts

            more["host_key_policy"] = KnownHosts()
        else:
            more["use_listings_cache"] = False
        if self.scheme in ("s3", "s3a"):
            more["config_kwargs"] = _S3
        # Without the path: letters such as # mean themselves there.
        authority = self.url[: _AUTHORITY.match(self.url).end()]  # type: ignore[union-attr]
        files, top = fsspec.core.url_to_fs(fill_in(authority, redact(authority)), **more)
        return files, top.rstrip("/") + self.url[len(authority) :]

    @property
    def _files(self) -> Any:
        return self._opened[0]

    def _path(self, name: str) -> str:
        return joined(self._opened[1], name)

    def list(self) -> list[RemoteFile]:
        """All files at and below the URL, by name. Raises `InputError`."""
        with told(self.url, InputError):
            found = self._files.find(self._path(""), detail=True)
            return self._as_files(found, self._path(""))

    def matches(self, pattern: str) -> list[RemoteFile]:
        """The files below the URL whose names match ``folder/*.mp4`` or ``**/*.mp4``. Raises `InputError`."""
        with told(joined(self.url, pattern), InputError):
            found = self._files.glob(self._path(pattern), detail=True)
            return self._as_files(found, self._path(""))

    def _as_files(self, found: dict[str, dict[str, Any]], top: str) -> list[RemoteFile]:
        files = []
        for path in sorted(found):
            about = found[path] or self._files.info(path)  # of a file that was asked for by its name
            name = "" if path == top else name_below(path, top)
            if name is not None and about["type"] != "directory" and not path.endswith("/"):
                files.append(RemoteFile(name, about["size"] or 0, _version(about)))
        return files

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder. Raises `InputError`."""
        with told(joined(self.url, name), InputError):
            return self._files.exists(self._path(name))

    def read(self, names: list[str]) -> dict[str, bytes]:
        """Contents of small files, those that are gone left out. Raises `InputError`."""
        with told(self.url, InputError):
            paths = {self._path(name): name for name in names}
            if not paths:
                return {}
            read = self._files.cat(list(paths), on_error="return")
            for content in read.values():
                if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                    raise content
            return {paths[path]: content for path, content in read.items() if isinstance(content, bytes)}

    def signed(self, name: str, seconds: int) -> str | None:
        """An address by which FFmpeg reads a file over HTTP, and that is a secret; None where the store has none."""
        with told(joined(self.url, name), InputError):
            try:
                address = self._files.sign(self._path(name), expiration=seconds)
            except (NotImplementedError, AttributeError):
                return None
            return address if scheme_of(address) in ("http", "https") else None

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to this machine. Raises what the store does."""
        self._files.get_file(self._path(name), str(path))

    def put(self, path: Path, name: str) -> None:
        """Copy a file of this machine there: it appears whole. Raises what the store does."""
        target = self._path(name)
        if self.scheme not in WITH_FOLDERS:
            self._files.put_file(str(path), target)
            return
        self._files.makedirs(os.path.dirname(target), exist_ok=True)
        self._files.put_file(str(path), target + ".part")
        self._files.mv(target + ".part", target)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, which is seen whole or as it was before. Raises what the store does."""
        target = self._path(name)
        if self.scheme in WITH_FOLDERS:
            self._files.pipe_file(target + ".part", content)
            self._files.mv(target + ".part", target)
        else:
            self._files.pipe_file(target, content)

    def create(self, name: str, content: bytes) -> None:
        """Write a small file that is not there yet.

        Raises:
            FileExistsError: If it is there.
            NotImplementedError: If the store cannot tell.
        """
        target = self._path(name)
        if self.scheme not in WITH_FOLDERS:
            try:
                self._files.pipe_file(target, content, mode="create")
            except (TypeError, ValueError) as error:
                raise NotImplementedError from error
            return
        self._files.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            with self._files.open(target, "wxb") as file:
                file.write(content)
        except OSError as error:  # SFTP has no word for it
            if self._files.exists(target):
                raise FileExistsError(target) from error
            raise

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it is gone. Raises what the store does."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            pass

    def check_writable(self) -> None:
        """Write something and remove it. Raises `OutputError`."""
        name = f".raftline.{os.getpid()}.part"
        with told(self.url, OutputError):
            if self.scheme in WITH_FOLDERS:
                self._files.makedirs(self._path(""), exist_ok=True)
            self.write(name, b"")
            self.remove(name)


def _version(about: dict[str, Any]) -> str:
    changing = next((about[key] for key in _VERSIONS if about.get(key)), "")
    return f"{about['size']} {str(changing).strip(chr(34))}"
