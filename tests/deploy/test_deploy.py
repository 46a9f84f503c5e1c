"""What is shipped to run raftline elsewhere is valid, and starts commands that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from raftline.cli.app import app

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def run(*command: str | Path) -> str:
    """What it says; an assertion unless it ends well."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def program(name: str) -> str:
    """Of the system, or beside this Python; skips where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed: what it checks was not checked")
    return found


@pytest.mark.parametrize("path", UNITS, ids=[path.name for path in UNITS])
def test_the_units_are_ones_that_systemd_takes(path: Path, tmp_path: Path) -> None:
    there = tmp_path / path.name
    there.write_text(path.read_text().replace("/opt/raftline/bin/raftline", sys.executable))
    assert f"{path.name}:" not in run(program("systemd-analyze"), "verify", there)


@pytest.mark.parametrize("path", KUBERNETES, ids=[path.name for path in KUBERNETES])
def test_the_manifests_are_strictly_valid(path: Path) -> None:
    run(program("kubernetes-validate"), "--strict", "--version", "1.30", path)


def test_the_containers_recipe_has_no_fault() -> None:
    run(program("hadolint"), DEPLOY / "container" / "Dockerfile")


def commands() -> dict[str, list[str]]:
    """Of each file, what it has raftline do."""
    compose = {name: yaml.safe_load((DEPLOY / "compose" / f"{name}.yaml").read_text()) for name in ("compose", "serve")}
    serving, _ = _pods((DEPLOY / "kubernetes" / "serve.yaml").read_text())
    [container] = _pods((DEPLOY / "kubernetes" / "cameras.yaml").read_text())
    [of_job] = _pods((DEPLOY / "kubernetes" / "batch.yaml").read_text())
    array = re.search(r"^exec raftline (.*)$", (DEPLOY / "slurm" / "batch.sh").read_text(), re.M)
    assert array is not None
    starts = {path.stem: re.search(r"^ExecStart=\S+ (.*)$", path.read_text(), re.M) for path in UNITS}
    return {
        **{name: shlex.split(start[1]) for name, start in starts.items() if start is not None},
        **{f"{name}.yaml": each["services"]["raftline"]["command"] for name, each in compose.items()},
        "kubernetes serve": serving["args"],
        "serve's liveness": serving["livenessProbe"]["exec"]["command"][1:],
        "kubernetes": container["args"],
        "kubernetes batch": of_job["args"],
        "slurm": shlex.split(array[1]),
        "liveness": container["livenessProbe"]["exec"]["command"][1:],
        "startup": container["startupProbe"]["exec"]["command"][1:],
        "container": ["status", "--check"],
    }


def _pods(manifests: str) -> list[dict[str, Any]]:
    found = yaml.safe_load_all(manifests)
    sets = [each for each in found if each["kind"] in ("StatefulSet", "Job")]
    return [container for each in sets for container in each["spec"]["template"]["spec"]["containers"]]


@pytest.mark.parametrize("where", commands())
def test_the_commands_are_ones_that_raftline_has(where: str) -> None:
    name, *arguments = commands()[where]
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    context = command.make_context(name, list(arguments))
    assert context.params


def test_the_health_check_of_the_container_is_the_one_of_the_manifests() -> None:
    recipe = (DEPLOY / "container" / "Dockerfile").read_text()
    assert 'CMD ["raftline", "status", "--check"]' in recipe
