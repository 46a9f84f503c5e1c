"""Compiled graphs on disk, for the next process: reading one takes a quarter of the CPU time of compiling it.

RAFT-small's four parts at 128x128, 8 bits, one thread: 0.11 CPU s instead of 0.51 (OpenVINO 2026.4, AMD EPYC).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino
import torch

from raftline.raft.compiled import graph, graphs, layers
from raftline.raft.compiled.layers import Ranges
from raftline.raft.model import Raft
from raftline.raft.weights.downloads import cache_folder

_MOST_FILES = 200
"""About 120 MB: the four parts for 50 sizes of frame, or part of it, and number of threads. Chosen by hand."""
_DIGEST_BYTES = hashlib.sha256().digest_size


class KeptGraphs:
    """The graphs of one network, by what they were compiled of and for.

    A file that is damaged, or a folder that cannot be read or written, is as good as none: the graph is compiled.

    Args:
        of: what all graphs of the network depend on, see `made_of`.
        folder: where they are kept; it need not exist.
    """

    def __init__(self, of: bytes, folder: Path) -> None:
        self._of = of
        self._folder = folder

    def get(self, *names: object) -> bytes | None:
        """What was kept under these names; None: nothing."""
        path = self._path(names)
        try:
            kept = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, blob = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
        return blob if hashlib.sha256(blob).digest() == digest else None

    def put(self, blob: bytes, *names: object) -> None:
        """Keep a graph. Its file appears when it is complete; those that were not read for longest give way to it."""
        path = self._path(names)
        part = path.with_suffix(f".{os.getpid()}_{threading.get_ident()}.part")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(hashlib.sha256(blob).digest() + blob)
            part.rename(path)
            self._make_room()

    def _path(self, names: tuple[object, ...]) -> Path:
        words = "\n".join(map(str, names)).encode()
        return self._folder / f"{hashlib.sha256(self._of + words).hexdigest()}.graph"

    def _make_room(self) -> None:
        files = list(self._folder.iterdir())
        if len(files) > _MOST_FILES:
            for path in sorted(files, key=lambda each: each.stat().st_mtime)[:-_MOST_FILES]:
                path.unlink(missing_ok=True)


def kept_graphs(model: Raft, ranges: Ranges | None) -> KeptGraphs | None:
    """Those of a network in the cache of the user; None where there is no home folder."""
    try:
        folder = cache_folder()
    except RuntimeError:
        return None
    return KeptGraphs(made_of(model, ranges), folder / "graphs")


def made_of(model: Raft, ranges: Ranges | None) -> bytes:
    """Digest of what a network's graphs depend on: its weights and ranges, the code that makes graphs, the runtime."""
    digest = hashlib.sha256(f"{openvino.get_version()} {graph.processor()}".encode())
    for module in (graph, graphs, layers):
        digest.update(Path(str(module.__file__)).read_bytes())
    weights = {name: _array(value) for name, value in model.state_dict().items()}
    for arrays in (weights, ranges or {}):
        _add(digest, arrays)
    return digest.digest()


def _add(digest: hashlib._Hash, arrays: Mapping[str, np.ndarray]) -> None:
    for name, values in arrays.items():
        digest.update(f"{name} {values.shape}".encode())
        digest.update(values.tobytes())


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().contiguous().numpy()
