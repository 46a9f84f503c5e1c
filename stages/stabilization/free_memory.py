"""How much memory is left, on the machine or in the container."""

from __future__ import annotations

from pathlib import Path

_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")
"""Of cgroup v2."""


def half_is_free(machine: Path = _MACHINE, container: Path = _CONTAINER) -> bool:
    """Tell whether at least half of the memory is available; not where that cannot be known.

    Args:
        machine: As Linux tells of the machine's memory.
        container: Folder of what it tells of the container's; none need be there.
    """
    try:
        lines = (line.split() for line in machine.read_text().splitlines())
        told = {name: int(value) for name, value, *_ in lines}
        return 2 * told["MemAvailable:"] >= told["MemTotal:"] and _container_is_half_free(container)
    except (OSError, ValueError, KeyError):
        return False


def _container_is_half_free(container: Path) -> bool:
    limit = container / "memory.max"
    if not limit.exists() or limit.read_text().strip() == "max":
        return True
    statistics = dict(line.split() for line in (container / "memory.stat").read_text().splitlines())
    used = int((container / "memory.current").read_text()) - int(statistics["inactive_file"])  # which is given up first
    return 2 * used <= int(limit.read_text())
