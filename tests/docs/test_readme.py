"""What README and the pages show can be typed as it stands there."""

from __future__ import annotations

import ast
import importlib

import pytest
import typer

from raftline.cli.app import app
from tests.docs.pages import PAGES, ROOT, blocks, commands, name_of

README = ROOT / "README.md"
COMMANDS = typer.main.get_command(app)
SHOWN = [(page, words) for page in PAGES for words in commands(page)]


def test_readme_fits_on_a_few_screens():
    assert len(README.read_text().splitlines()) <= 120


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{name_of(page)}: {' '.join(words)}" for page, words in SHOWN])
def test_every_command_exists_and_has_the_options_it_is_shown_with(page, words):
    command, given = COMMANDS, words[1:]
    while given and (below := getattr(command, "get_command", lambda *_: None)(None, given[0])) is not None:
        command, given = below, given[1:]
    assert command is not COMMANDS, f"there is no command {words[1]!r}"
    known = {option for parameter in command.params for option in parameter.opts}
    for word in given:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{words[1]} has the options {sorted(known)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_configuration_that_is_run_by_name_ships(page):
    shipped = {file.stem for folder in ("configs", "raftline/configs") for file in (ROOT / folder).glob("*.yaml")}
    for words in commands(page):
        if words[1] in ("run", "batch", "validate", "worker") and not words[2].endswith(".yaml"):
            assert words[2] in shipped, f"{' '.join(words)}: {sorted(shipped)} ship"


def test_readmes_python_uses_names_that_exist():
    (code,) = blocks(README, "python")
    tree = ast.parse(code)
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name: importlib.import_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {alias.name: importlib.import_module(f"{node.module}.{alias.name}") for alias in node.names}
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    for node in used:
        assert isinstance(node.value, ast.Name)
        if node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{node.value.id} has no {node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_python_of_every_page_parses(page):
    for code in blocks(page, "python"):
        ast.parse(code)
