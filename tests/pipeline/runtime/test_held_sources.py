from __future__ import annotations

from pathlib import Path

from pipeline.runtime.held_sources import HeldSources, HoldsSource
from pipeline.runtime.ownership import lease_clock


def test_a_source_of_no_fleet_is_its_runs_own(tmp_path: Path) -> None:
    assert HoldsSource(None, "door")() is None and HoldsSource(tmp_path, "door")() is None


def test_a_source_is_held_until_its_lease_runs_out(tmp_path: Path) -> None:
    host, holds = HeldSources(tmp_path), HoldsSource(tmp_path, "door")
    assert holds() is False
    host.tell({"door": lease_clock() + 1000})
    assert holds() is True and HoldsSource(tmp_path, "garden")() is False
    host.tell({"door": lease_clock() - 1})  # nobody has told so: it stood still
    assert holds() is False
    host.tell({})
    assert holds() is False
