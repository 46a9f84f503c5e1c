"""torchvision's published RAFT weights, downloaded once into the user's cache."""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import torch

from raftline.raft.weights.errors import WeightsUnavailable

_BASE_URL = "https://download.pytorch.org/models/"
_TIMEOUT_SECONDS = 30.0
"""For a server that sends nothing; chosen by hand."""

# The digits at the end of each file name are the first eight of its SHA-256 (torch.hub's convention).
# Names and files: torchvision 0.28, torchvision/models/optical_flow/raft.py; the plain name is its DEFAULT.
DOWNLOADS = {
    "torchvision/raft_large": "raft_large_C_T_SKHT_V2-ff5fadd5.pth",
    "torchvision/raft_small": "raft_small_C_T_V2-01064c6d.pth",
    "torchvision/raft_large_C_T_V1": "raft_large_C_T_V1-22a6c225.pth",
    "torchvision/raft_large_C_T_V2": "raft_large_C_T_V2-1bb1363a.pth",
    "torchvision/raft_large_C_T_SKHT_V1": "raft_large_C_T_SKHT_V1-0b8c9e55.pth",
    "torchvision/raft_large_C_T_SKHT_V2": "raft_large_C_T_SKHT_V2-ff5fadd5.pth",
    "torchvision/raft_large_C_T_SKHT_K_V1": "raft_large_C_T_SKHT_K_V1-4a6a5039.pth",
    "torchvision/raft_large_C_T_SKHT_K_V2": "raft_large_C_T_SKHT_K_V2-b5c70766.pth",
    "torchvision/raft_small_C_T_V1": "raft_small_C_T_V1-ad48884c.pth",
    "torchvision/raft_small_C_T_V2": "raft_small_C_T_V2-01064c6d.pth",
}


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/raftline`, or `~/.cache/raftline`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "raftline"


def download(name: str) -> Path:
    """Fetch the file of a name in DOWNLOADS, from the cache or else from its official address.

    The hash is checked each time, of a cached file too. The file appears under its name only when it is whole.

    Raises:
        WeightsUnavailable: no network, no such file there, or a wrong hash.
    """
    file_name = DOWNLOADS[name]
    path = cache_folder() / file_name
    expected = file_name.rsplit("-", 1)[1].removesuffix(".pth")
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest().startswith(expected):
        return path
    url = _BASE_URL + file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(_TIMEOUT_SECONDS):
            torch.hub.download_url_to_file(url, str(path), hash_prefix=expected, progress=False)
    except (OSError, HTTPException) as error:  # urllib's URLError and HTTPError are OSErrors
        raise WeightsUnavailable(
            f"weights {name}: could not be downloaded from {url} ({error}). Check the network, or put the file at "
            f"{path} by hand, or use weights: default, which needs no network"
        ) from error
    except RuntimeError as error:  # torch.hub's word for a wrong hash
        raise WeightsUnavailable(
            f"weights {name}: what {url} sent does not have the expected SHA-256 ({expected}...). "
            f"Try again; if it stays so, put the file at {path} by hand"
        ) from error
    return path


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """torch.hub sets no time limit, but takes the default of new sockets."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
