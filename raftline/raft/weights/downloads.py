"""torchvision's published RAFT weights, downloaded once into the user's cache."""

import hashlib
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

_BASE_URL = "https://download.pytorch.org/models/"
_TIMEOUT_SECONDS = 30

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
    """The file of a name in DOWNLOADS, from the cache or else from its official address.

    The hash is checked each time, of a cached file too. The file appears under its name only when it is whole.

    Raises:
        WeightsUnavailable: no network, no such file there, or a wrong hash.
    """
    from raftline.raft.weights.loading import WeightsUnavailable

    file_name = DOWNLOADS[name]
    path = cache_folder() / file_name
    if path.is_file() and _hash_fits(path):
        return path
    url = _BASE_URL + file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _fetch(url, path)
    except OSError as error:  # urllib's URLError and HTTPError are OSErrors
        raise WeightsUnavailable(
            f"weights {name}: could not be downloaded from {url} ({error}). Check the network, or put the file at "
            f"{path} by hand, or use weights: default, which needs no network"
        ) from error
    if not _hash_fits(part, file_name):
        part.unlink()
        raise WeightsUnavailable(
            f"weights {name}: what {url} sent does not have the expected SHA-256 ({_expected_prefix(file_name)}...). "
            f"Try again; if it stays so, put the file at {path} by hand"
        )
    os.replace(part, path)
    return path


def _fetch(url: str, path: Path) -> Path:
    """Download beside `path`, under a name of its own, which it returns; nothing is left of a broken download."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".part")
    try:
        with open(handle, "wb") as file, urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            shutil.copyfileobj(response, file)
    except BaseException:
        os.unlink(part)
        raise
    return Path(part)


def _expected_prefix(file_name: str) -> str:
    return file_name.rsplit("-", 1)[1].removesuffix(".pth")


def _hash_fits(path: Path, file_name: str | None = None) -> bool:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return digest.startswith(_expected_prefix(file_name or path.name))
