"""How much memory is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.stabilization.free_memory import half_is_free


def told(folder: Path, available: int, total: int = 1000) -> Path:
    path = folder / "meminfo"
    path.write_text(f"MemTotal: {total} kB\nMemFree: 3 kB\nMemAvailable: {available} kB\nHugePages_Total: 0\n")
    return path


@pytest.mark.parametrize(("available", "free"), [(600, True), (500, True), (499, False)])
def test_half_of_the_machines_memory_is_free_or_not(tmp_path: Path, available: int, free: bool) -> None:
    assert half_is_free(told(tmp_path, available), tmp_path / "none") == free


@pytest.mark.parametrize(
    ("limit", "used", "cached", "free"),
    [("max", 900, 0, True), ("1000", 500, 0, True), ("1000", 700, 100, False), ("1000", 900, 400, True)],
)
def test_a_container_has_a_memory_of_its_own(tmp_path: Path, limit: str, used: int, cached: int, free: bool) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    (tmp_path / "memory.stat").write_text(f"anon 17\ninactive_file {cached}\n")
    assert half_is_free(told(tmp_path, 900), tmp_path) == free


def test_what_cannot_be_known_is_not_free(tmp_path: Path) -> None:
    assert not half_is_free(tmp_path / "none", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: many\n")
    assert not half_is_free(tmp_path / "meminfo", tmp_path)


def test_of_this_machine_it_is_known() -> None:
    assert half_is_free() in (True, False)
