"""Which runtime is chosen, and what is said where it cannot be had."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from raftline.raft.choices import PrecisionChoice
from raftline.raft.precision import FLOAT32, choose_precision
from raftline.raft.runtimes import choose_runtime, openvino_missing

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "openvino", None)
    openvino_missing.cache_clear()
    yield
    openvino_missing.cache_clear()


@pytest.fixture
def with_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftline.raft.runtimes.openvino_missing", lambda: None)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_auto_is_torch_and_no_fallback() -> None:
    session = FlowSession(options=FlowOptions(device="cpu", precision="float32"))
    assert (session.status.runtime, session.status.fallbacks) == ("torch", ())


@pytest.mark.usefixtures("without_openvino")
def test_asked_for_and_not_installed_says_what_to_install() -> None:
    words = r"runtime openvino: not installed\. pip install 'raftline\[openvino\]', or use runtime: auto"
    with pytest.raises(ValueError, match=words):
        open_raft(FlowOptions(device="cpu", runtime="openvino"))


@pytest.mark.usefixtures("without_openvino")
def test_8_bits_without_openvino_say_what_to_install() -> None:
    with pytest.raises(ValueError, match=r"precision int8: only runtime openvino has it.*raftline\[openvino\]"):
        open_raft(FlowOptions(device="cpu", precision="int8"))


def test_a_damaged_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", ModuleType("openvino"))
    monkeypatch.delitem(sys.modules, "openvino.opset13", raising=False)
    openvino_missing.cache_clear()
    found = openvino_missing()
    openvino_missing.cache_clear()
    assert found is not None and found.startswith("its installation is damaged (cannot import name")


@pytest.mark.usefixtures("with_openvino")
@pytest.mark.parametrize("precision", ["auto", "int8", "float32"])
def test_auto_is_openvino_on_an_x86_cpu(precision: PrecisionChoice) -> None:
    assert choose_runtime(CPU, "auto", precision) == "openvino"
    assert choose_precision(CPU, precision, "openvino").name == ("float32" if precision == "float32" else "int8")


@pytest.mark.usefixtures("with_openvino")
def test_auto_is_torch_on_a_gpu_on_other_processors_and_for_what_openvino_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert choose_runtime(CUDA) == "torch"
    assert choose_runtime(CPU, "auto", "bfloat16") == "torch"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert choose_runtime(CPU) == "torch"
    assert choose_runtime(CPU, "openvino") == "openvino"


@pytest.mark.usefixtures("with_openvino")
def test_torch_is_taken_where_it_is_asked_for() -> None:
    assert choose_runtime(CPU, "torch") == "torch"
    assert choose_precision(CPU, "auto", "torch") == FLOAT32


@pytest.mark.usefixtures("with_openvino")
def test_what_openvino_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"runtime openvino: it runs on the CPU, and the device is cuda\. Use device"):
        choose_runtime(CUDA, "openvino")
    with pytest.raises(ValueError, match=r"it has no fast bfloat16 on this CPU\. Use precision: auto, int8 or float32"):
        choose_runtime(CPU, "openvino", "bfloat16")
    with pytest.raises(ValueError, match="runtime: expected auto, torch, openvino; found 'onnx'"):
        choose_runtime(CPU, "onnx")  # type: ignore[arg-type]
