"""Lanes of a batch on the nodes of a Ray cluster: each file, or task of a long one, goes to one node."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.errors import ConfigError
from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.lane import Interruption, Lane, Outcome, Task

_LOOK_SECONDS = 0.5
_CLOSE_SECONDS = 10.0
_LOST_SECONDS = 5.0
"""Chosen by hand: four tries outlast Ray's own health check, some 15 s by default."""
_TRIES = 4
"""Nodes that may be lost while they work on one file. Chosen by hand: a file that ends every node must not end all."""

log = logging.getLogger("raftline.batch")


def connect_to_ray(address: str) -> None:
    """Join a cluster.

    Args:
        address: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for the cluster of this machine.

    Raises:
        ConfigError: If Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--executor ray needs the package ray: pip install 'raftline[ray]'") from error
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(f"--address {address}: no Ray cluster there ({first}); start one with `ray start`") from error
    _quieten_ray()


def cores_of_nodes() -> list[int]:
    """CPUs of each node that has any.

    Raises:
        ConfigError: If none has.
    """
    import ray

    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    if not any(cores):
        raise ConfigError(
            "--executor ray: the cluster has no node with cores to work on; start one: ray start --address HEAD:6379"
        )
    return [each for each in cores if each]


def _quieten_ray() -> None:
    """Keep off standard output what Ray's raylets log of a node that is lost, a page each: a line of ours says it."""
    import ray._private.worker as of_ray  # has no option for it

    if hasattr(of_ray, "print_to_stdstream"):
        of_ray.print_to_stdstream = lambda *arguments, **named: None


class _NodeLane:
    """What runs on a node: a lane as on one machine."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._interruption = Interruption()
        self._lane = Lane(request, self._interruption)
        self._status: dict[str, Any] | None = None

    def run(self, file: BatchFile, task: Task) -> Outcome:
        self._status = None
        return self._lane.run(file, self._keep, task)

    def status(self) -> dict[str, Any] | None:
        return self._status

    def interrupt(self, number: int) -> None:
        self._interruption.pass_on(number)

    def close(self) -> None:
        self._lane.close()

    def _keep(self, status: dict[str, Any]) -> None:
        self._status = status


class RayLane:
    """Works on one file at a time, on whichever node has the cores; on another one when that node is lost.

    Args:
        request: What all files have in common. Paths are absolute: a node has a current directory of its own.
        interruption: Hears of Ctrl-C, and tells the node.
    """

    def __init__(self, request: dict[str, Any], interruption: Interruption) -> None:
        self._request = request
        self._interruption = interruption
        self._actor: Any = None
        self._told = False
        self.waiting = False
        """As `raftline.cli.batch.work.AnyLane` has it: no node has the cores yet."""

    def run(self, file: BatchFile, on_status: Callable[[dict[str, Any]], None], task: Task) -> Outcome:
        """Do a task of a file. `on_status` gets the summary of its source, about twice a second."""
        try:
            return self._run(file, on_status, task)
        finally:
            self.waiting = False

    def _run(self, file: BatchFile, on_status: Callable[[dict[str, Any]], None], task: Task) -> Outcome:
        from ray.exceptions import RayActorError

        for tries in range(1, _TRIES + 1):
            try:
                return self._run_on_a_node(file, on_status, task)
            except RayActorError:
                self._give_up_actor()
                if self._interruption.happened:
                    return Outcome("interrupted")
                if tries < _TRIES:
                    log.warning("%s: the node that worked on it was lost; it goes to another one", file.display)
                self._pause()
        return Outcome(f"{_TRIES} nodes were lost while they worked on it")

    def _give_up_actor(self) -> None:
        """One that only cannot be reached may still work, and hold the cores that the next one waits for."""
        import ray

        actor, self._actor, self.waiting = self._actor, None, True
        with contextlib.suppress(Exception):
            ray.kill(actor)

    def _pause(self) -> None:
        """Let the cluster find that the node is lost: until then it may send the file there again."""
        end = time.monotonic() + _LOST_SECONDS
        while time.monotonic() < end and not self._interruption.happened:
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Give the node's cores back."""
        import ray
        from ray.exceptions import RayError

        if self._actor is not None:
            try:
                ray.get(self._actor.close.remote(), timeout=_CLOSE_SECONDS)
            except RayError:
                pass  # the node is lost, and its processes with it
            ray.kill(self._actor)
            self._actor = None

    def _run_on_a_node(self, file: BatchFile, on_status: Callable[[dict[str, Any]], None], task: Task) -> Outcome:
        import ray

        if self._actor is None:
            remote: Any = ray.remote(_NodeLane)
            self._actor = remote.options(num_cpus=self._request["cores"], max_concurrency=3).remote(self._request)
            self.waiting = True
        path = file.path if "://" in file.path else os.path.abspath(file.path)
        outcome: Any = self._actor.run.remote(replace(file, path=path), task)
        while not ray.wait([outcome], timeout=_LOOK_SECONDS)[0]:
            if self._interruption.happened and self.waiting:  # nothing was begun
                self._give_up_actor()
                return Outcome("interrupted")
            if self._interruption.happened and not self._told:
                self._told = True
                self._actor.interrupt.remote(self._interruption.number)
            status: Any = self._actor.status.remote()
            if not ray.wait([status], timeout=_LOOK_SECONDS)[0]:
                continue
            told: Any = ray.get(status)
            self.waiting = False
            if told is not None:
                on_status(told)
        return ray.get(outcome)
