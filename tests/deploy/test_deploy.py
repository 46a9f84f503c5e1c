"""What is shipped to run raftline elsewhere is valid, and starts commands that there are."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
    """Of the system, or beside this Python; skips where it is missing, and fails in CI."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        assert "CI" not in os.environ, f"{name} is not installed, though CI has it"
        pytest.skip(f"{name} is not installed: what it checks was not checked")
    return found


@pytest.mark.parametrize("path", UNITS, ids=[path.name for path in UNITS])
def test_the_units_are_ones_that_systemd_takes(path: Path, tmp_path: Path) -> None:
    there = tmp_path / path.name
    there.write_text(path.read_text().replace("/opt/raftline/bin/raftline", sys.executable))
    assert f"{path.name}:" not in run(program("systemd-analyze"), "verify", there)


@pytest.mark.parametrize("path", KUBERNETES, ids=[path.name for path in KUBERNETES])
def test_the_manifests_are_strictly_valid(path: Path, tmp_path: Path) -> None:
    known = [each for manifest in _manifests(path.name) for each in _known_to_kubernetes(manifest)]
    (tmp_path / path.name).write_text(yaml.safe_dump_all(known))
    said = run(program("kubernetes-validate"), "--strict", "--kubernetes-version", "1.30", tmp_path / path.name)
    assert said.count("passed for resource") == len(known)


def _manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))


def _known_to_kubernetes(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A manifest; of a kind that Kubernetes learns from KubeRay, the pods in it as those of stateful sets."""
    if manifest["kind"] != "RayCluster":
        yield manifest
        return
    name = manifest["metadata"]["name"]
    for number, group in enumerate([manifest["spec"]["headGroupSpec"], *manifest["spec"]["workerGroupSpecs"]]):
        labels = {"app": f"{name}-{number}"}
        template = {"metadata": {"labels": labels}, **group["template"]}
        spec = {"serviceName": name, "selector": {"matchLabels": labels}, "template": template}
        yield {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}


def test_the_containers_recipe_has_no_fault() -> None:
    run(program("hadolint"), DEPLOY / "container" / "Dockerfile")


def commands() -> dict[str, list[str]]:
    """Of each file, what it has raftline do."""
    compose = {name: yaml.safe_load((DEPLOY / "compose" / f"{name}.yaml").read_text()) for name in ("compose", "serve")}
    serving, _ = _pods("serve.yaml")
    [container] = _pods("cameras.yaml")
    [of_job] = _pods("batch.yaml")
    array = re.search(r"^exec raftline (.*)$", (DEPLOY / "slurm" / "batch.sh").read_text(), re.M)
    on_ray = re.search(r"^#.* -- raftline (.*)$", (DEPLOY / "kubernetes" / "ray.yaml").read_text(), re.M)
    assert array is not None and on_ray is not None
    starts = {path.stem: re.search(r"^ExecStart=\S+ (.*)$", path.read_text(), re.M) for path in UNITS}
    return {
        **{name: shlex.split(start[1]) for name, start in starts.items() if start is not None},
        **{f"{name}.yaml": each["services"]["raftline"]["command"] for name, each in compose.items()},
        "kubernetes serve": serving["args"],
        "serve's liveness": serving["livenessProbe"]["exec"]["command"][1:],
        "kubernetes": container["args"],
        "kubernetes batch": of_job["args"],
        "kubernetes ray": shlex.split(on_ray[1]),
        "slurm": shlex.split(array[1]),
        "liveness": container["livenessProbe"]["exec"]["command"][1:],
        "startup": container["startupProbe"]["exec"]["command"][1:],
        "container": ["status", "--check"],
    }


def _pods(name: str) -> list[dict[str, Any]]:
    sets = [each for each in _manifests(name) if each["kind"] in ("StatefulSet", "Job")]
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
