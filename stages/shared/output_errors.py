"""Failures to write, as errors that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from av.error import FFmpegError

from pipeline.errors import OutputError
from pipeline.stage import Output

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, or write elsewhere (-o DIR)",
    errno.EDQUOT: "the disk quota is used up: free some space, or write elsewhere (-o DIR)",
    errno.EFBIG: "the file outgrew the limit of this user (ulimit -f) or file system: write elsewhere (-o DIR)",
    errno.EACCES: "no permission: write elsewhere (-o DIR), or change the folder's permissions",
    errno.EPERM: "no permission: write elsewhere (-o DIR), or change the folder's permissions",
    errno.EROFS: "the file system is read-only: write elsewhere (-o DIR)",
    errno.ENOENT: "the file or its folder is gone: was it moved, removed or unmounted while the run went on?",
    errno.EIO: "the device reports an input/output error: check the disk, or write elsewhere (-o DIR)",
}


def output_error(path: Path, error: OSError | FFmpegError) -> OutputError:
    """An `OutputError` with the path, the system's message, and what to do."""
    number = error.errno or 0
    words = error.strerror or str(error)
    advice = _ADVICE.get(number, "check the disk and the folder, or write elsewhere (-o DIR)")
    return OutputError(f"{path}: cannot write: {words}; {advice}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Translate errors of the system and FFmpeg raised inside to `OutputError`."""
    try:
        yield
    except (OSError, FFmpegError) as error:
        raise output_error(path, error) from error


def write_whole(output: Output, content: bytes | memoryview) -> None:
    """Write a file that appears complete or not at all. Raises `OutputError`."""
    with writing(output.path):
        output.part.write_bytes(content)
    output.finish()
