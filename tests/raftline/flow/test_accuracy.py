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


@pytest.mark.parametrize("estimator", get_args(Estimator))
def test_what_several_readers_get_is_exact_enough_for_each(estimator: Estimator) -> None:
    coarse, cells = settings_for("coarse", estimator), settings_for("cells", estimator)
    both = settings_for("cells", estimator, ["coarse"])
    assert both == settings_for("coarse", estimator, ["cells"])
    assert both["max_side_px"] == max(coarse["max_side_px"], cells["max_side_px"])
    assert both["iterations"] == max(coarse["iterations"], cells["iterations"])
    assert both["early_stop_px"] is None or both["early_stop_px"] <= cells["early_stop_px"]
    assert both["dis_preset"] == "medium"
    assert settings_for("full", estimator, ["coarse", "cells"]) == settings_for("full", estimator)


def test_a_cpu_takes_dis_unless_the_flow_has_to_be_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", ())
    assert [estimator_for(accuracy) for accuracy in ACCURACIES] == ["dis", "dis", "raft", "raft"]


def test_a_gpu_takes_raft_unless_the_device_is_the_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (estimator_for("coarse"), estimator_for("coarse", "cpu")) == ("raft", "dis")


def test_a_driver_that_torch_cannot_use_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy_module, "_GPU_DRIVERS", (str(tmp_path),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert estimator_for("coarse") == "dis"
