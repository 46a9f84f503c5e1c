"""The figures of the documentation are those that their scripts draw."""

from __future__ import annotations

import importlib

import pytest

from docs.figures import make_diagrams

DIAGRAMS = {
    "architecture": make_diagrams.ARCHITECTURE,
    "stabilization": make_diagrams.STABILIZATION,
    "motion_masks": make_diagrams.MASKS,
}


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_what_its_script_draws(name):
    assert (make_diagrams.FOLDER / f"{name}.svg").read_text() == make_diagrams.drawn(*DIAGRAMS[name])


def test_the_steps_of_a_mask_can_be_drawn_again():
    script = importlib.import_module("docs.figures.make_mask_steps")
    assert len(script.TITLES) == 4 and (make_diagrams.FOLDER / "motion_mask_steps.jpg").is_file()
