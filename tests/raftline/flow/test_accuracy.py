"""What is set for flow of each accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from pipeline.stage import ACCURACIES
from raftline.flow import accuracy as accuracy_module
from raftline.flow.accuracy import CHOSEN, Accuracy, estimator_for, settings_for
from raftline.flow.options import Estimator, FlowOptions


def test_the_pipeline_and_the_library_have_the_same_words() -> None:
    assert get_args(Accuracy) == ACCURACIES


@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_every_accuracy_sets_each_of_them_to_what_is_allowed(accuracy: Accuracy, estimator: Estimator) -> None:
    settings = settings_for(accuracy, estimator)
    assert settings.keys() == set(CHOSEN)
    assert settings.pop("max_side_px") in (None, *range(64, 10_000))
    FlowOptions(**settings)


def test_full_is_what_the_library_does_by_itself() -> None:
    settings = settings_for("full", "raft")
    assert settings.pop("max_side_px") is None
    assert FlowOptions(**settings) == FlowOptions()


def test_less_exact_is_never_dearer() -> None:
    coarse, cells, full = (settings_for(accuracy, "raft") for accuracy in ACCURACIES)
    assert coarse["iterations"] <= cells["iterations"] <= full["iterations"]
    assert coarse["max_side_px"] <= cells["max_side_px"]


def test_a_cpu_takes_dis_where_coarse_flow_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", ())
    assert [estimator_for(accuracy) for accuracy in ACCURACIES] == ["dis", "raft", "raft"]


def test_a_gpu_takes_raft_unless_the_device_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (estimator_for("coarse"), estimator_for("coarse", "cpu")) == ("raft", "dis")


def test_a_driver_that_torch_cannot_use_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert estimator_for("coarse") == "dis"
