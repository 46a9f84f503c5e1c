"""A Ray cluster of two nodes of one core on this machine, whose nodes can be killed.

with ray_cluster() as cluster:
    ... cluster.address ...
    cluster.kill_a_node()
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAM = """
import sys
import psutil
from ray.cluster_utils import Cluster

def raylet(node):
    return psutil.Process(node.all_processes["raylet"][0].process.pid)

def holds(process, path):
    try:
        return any(file.path == path for file in process.open_files())
    except psutil.Error:
        return False

cluster = Cluster()
nodes = [cluster.add_node(num_cpus=0, include_dashboard=False)] + [cluster.add_node(num_cpus=1) for _ in range(2)]
print("address", cluster.address, flush=True)
for line in sys.stdin:
    path = line.strip()
    at = next(k for k in range(len(nodes) - 1, 0, -1)
              if not path or any(holds(each, path) for each in raylet(nodes[k]).children(recursive=True)))
    cluster.remove_node(nodes.pop(at), allow_graceful=False)
    print("killed", flush=True)
cluster.shutdown()
"""
_NICE = {"RAY_worker_niceness": "0"}
"""Ray's own 15 gives its workers a sixtieth of a core that another program uses, too: minutes for each process."""


class RayCluster:
    """Running."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_NICE},
            text=True,
        )
        self.address = self._said("address ")

    def kill_a_node(self, holding: Path | None = None) -> None:
        """As a power cut would; the one that holds a file open, or else any."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{holding or ''}\n")
        self._process.stdin.flush()
        self._said("killed")

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _said(self, begin: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(begin):
                return line.removeprefix(begin).strip()
        raise RuntimeError("the Ray cluster has ended")


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Skips the test where Ray is not installed."""
    pytest.importorskip("ray")
    cluster = RayCluster()
    try:
        yield cluster
    finally:
        cluster.close()
