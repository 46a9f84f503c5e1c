"""The options that the pages for users name are options of the stages that they name."""

from __future__ import annotations

import re

import pytest
import yaml

from pipeline.registry import load
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/use_cases.md").read_text()
PAGES = PAGE + (ROOT / "README.md").read_text() + (ROOT / "docs/quick_start.md").read_text()
TABLES = re.findall(r"set under `stages\.(\w+)\.options` \|\n\|[ -|]+\|\n((?:\|.*\n)+)", PAGE)
PLUG_INS = {"stabilized_video": "video_writer"}
"""Of the stages that a configuration calls otherwise."""
SET = re.findall(r"stages\.([a-z_]+)\.options\.([a-z_]+)=", PAGES)


@pytest.mark.parametrize(("stage", "rows"), TABLES, ids=[stage for stage, _ in TABLES])
def test_every_option_of_a_table_is_one_of_its_stage_and_takes_the_value(stage: str, rows: str) -> None:
    options = load(PLUG_INS.get(stage, stage)).Options
    named = [pair for row in rows.splitlines() for pair in re.findall(r"`(\w+): ([^`]+)`", row.split("|")[2])]
    assert len(named) > 5
    for key, value in named:
        assert key in options.model_fields, f"{stage} has {sorted(options.model_fields)}"
        if "..." not in value:
            scale = {"metres_per_px": 0.05} if key.endswith("m_s") else {}
            options.model_validate({**scale, key: yaml.safe_load(value)})


def test_every_option_that_is_set_on_the_command_line_exists():
    assert len(SET) >= 5
    for stage, key in SET:
        known = load(stage).Options.model_fields
        assert key in known, f"{stage} has {sorted(known)}"
