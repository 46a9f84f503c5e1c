"""Kernels compiled before they are called."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raftline.kernels import ahead

pytest.importorskip("numba")

from raftline.kernels.ahead import listed, numba_type

LISTS = sorted(file.stem for file in Path(ahead.__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("name", LISTS)
def test_each_list_has_a_module_and_names_kernels_with_types_of_their_arguments(name: str) -> None:
    kernels = listed(name)
    assert kernels
    assert Path(ahead.__file__).with_name(f"{name}.py").exists()
    for (module, kernel), signatures in kernels.items():
        found = getattr(importlib.import_module(module), kernel, None)
        assert found is not None, f"{module}.{kernel} is gone: run python -m benchmarks.kernel_signatures"
        code = found.__wrapped__.__code__
        for signature in signatures:
            assert len([numba_type(each) for each in signature]) == code.co_argcount, (module, kernel)


def test_what_is_not_kept_is_compiled_once_by_forks_that_leave_no_thread(tmp_path: Path) -> None:
    code = """if True:
        import os
        import raftline.camera.cholesky
        import raftline.kernels.ahead as ahead
        chosen = [
            each for each in ahead.known("stabilization") if each.kernel.__name__ in ("_root_of_banded", "_solve_lower")
        ]
        ahead.known = lambda name: chosen
        forked = ahead._forked
        ahead._forked = lambda kernels: (print(*(each.kernel.__name__ for each in kernels)), forked(kernels))[1]
        os.sched_getaffinity = lambda process: {0, 1}
        ahead.compile_ahead("stabilization")
        print(all(each.is_kept() for each in chosen), len(os.listdir("/proc/self/task")))
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    first, again = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(2)
    )
    assert first.split() == ["_root_of_banded", "_solve_lower", "True", "1"]
    assert again.split() == ["True", "1"]


def test_a_kernel_that_cannot_be_compiled_is_left_to_its_call(tmp_path: Path) -> None:
    code = """if True:
        import raftline.kernels.ahead as ahead
        from raftline.camera.cholesky import _root_of_banded, _solve_lower
        (sound,) = [each for each in ahead.known("stabilization") if each.kernel is _solve_lower]
        ahead.known = lambda name: [ahead.Known(_root_of_banded, (("no_type",),)), sound]
        ahead.compile_ahead("stabilization")
        print(sound.is_kept())
    """
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "True"
