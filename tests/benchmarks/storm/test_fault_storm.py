"""A short storm: what must hold holds while everything around it breaks."""

from __future__ import annotations

import pytest

from benchmarks.fault_storm import storm
from tests.rtsp_server import missing_parts


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_files_are_complete_and_cameras_live_after_a_storm() -> None:
    if missing_parts():
        pytest.skip("no RTSP server")
    report = storm(60.0, seed=3, cameras=2, files=1, calm_seconds=0.0)
    assert report["held"], report["failures"]
    assert sum(report["faults"].values()) >= 8
