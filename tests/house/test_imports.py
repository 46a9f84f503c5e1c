"""Imports run one way, nothing is unpickled, and the folders are what their names say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("pipeline", "stages", "raftline", "run_pipeline")
COMPUTING = {"torch", "numpy", "cupy", "numba", "cv2", "scipy", "safetensors", "openvino"}


class Import(NamedTuple):
    """One import statement."""

    importer: str
    """Dotted name of the module it stands in."""
    imported: str
    line: int
    at_top: bool
    """It runs when the module is imported."""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def source_files() -> list[Path]:
    folders = [ROOT / name for name in OURS if (ROOT / name).is_dir()]
    return [ROOT / "run_pipeline.py", *(file for folder in folders for file in sorted(folder.rglob("*.py")))]


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> Iterator[Import]:
    importer = module_name(file)

    def walk(node: ast.AST, at_top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                continue
            if isinstance(child, ast.Import):
                yield from (Import(importer, alias.name, child.lineno, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno}: relative import"
                module = child.module or ""
                submodules = [a.name for a in child.names if is_module(f"{module}.{a.name}")]
                names = [f"{module}.{name}" for name in submodules] or [module]
                yield from (Import(importer, name, child.lineno, at_top) for name in names)
            else:
                inner = at_top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from walk(child, inner)

    yield from walk(ast.parse(file.read_text()), True)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


IMPORTS = [found for file in source_files() for found in imports_of(file)]


def within(name: str, packages: tuple[str, ...] | set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def of(*importers: str) -> list[Import]:
    return [found for found in IMPORTS if within(found.importer, importers)]


def is_foreign(name: str) -> bool:
    return name.partition(".")[0] not in sys.stdlib_module_names and not within(name, OURS)


def refuse(wrong: list[Import]) -> None:
    assert not wrong, "\n" + "\n".join(map(str, wrong))


def test_the_machine_knows_no_stage_and_computes_nothing() -> None:
    forbidden = ("stages", "raftline", "torch", "cupy", "av", "cv2", "numba", "scipy")
    refuse([found for found in of("pipeline") if within(found.imported, forbidden)])


ABOVE = ("raftline.cli", "raftline.web", "raftline.video", "raftline.__main__")
"""What of `raftline` is no library: it may reach for the machine."""


def library() -> list[Import]:
    return [i for i in of("raftline") if not within(i.importer, ABOVE)]


TRAINING = {"yaml", "pydantic", "rich"}
"""What else the training program needs, which stands around the library."""


RUNTIMES = {"onnxruntime", "torch_tensorrt"}
"""What an exported network is checked with."""


def test_the_library_needs_only_arrays() -> None:
    for found in library():
        allowed = COMPUTING | TRAINING if within(found.importer, ("raftline.training",)) else COMPUTING
        allowed = allowed | RUNTIMES if within(found.importer, ("raftline.raft.export",)) else allowed
        refuse([found] if is_foreign(found.imported) and found.imported.partition(".")[0] not in allowed else [])
    refuse([i for i in library() if within(i.imported, (*ABOVE, "pipeline", "stages", "run_pipeline"))])


def test_only_the_compiled_network_and_the_export_import_openvino() -> None:
    importers = {i.importer for i in IMPORTS if within(i.imported, ("openvino",))}
    allowed = ("raftline.raft.compiled", "raftline.raft.export", "raftline.raft.runtimes")
    assert importers and all(within(each, allowed) for each in importers)
    within_it = ("raftline.raft.compiled",)
    refuse([i for i in IMPORTS if i.at_top and within(i.imported, within_it) and not within(i.importer, within_it)])


def test_only_what_reads_stores_imports_their_packages() -> None:
    packages = ("fsspec", "s3fs", "gcsfs", "adlfs", "paramiko", "botocore", "aiobotocore")
    refuse([i for i in IMPORTS if within(i.imported, packages) and not within(i.importer, ("pipeline.remote",))])


BENEATH_ALL = ("whole_file", "state_trees")
FLOORS = {
    "whole_file": (),
    "state_trees": (),
    "kernels": (),
    "raft": ("kernels",),
    "flow": ("kernels", "raft"),
    "camera": ("kernels", "raft", "flow"),
    "stabilize": ("kernels", "raft", "flow", "camera"),
    "masks": ("kernels", "raft", "flow", "camera"),
    "synthetic": ("kernels", "raft", "flow"),
    "evaluation": ("kernels", "raft", "flow", "synthetic"),
    "training": ("kernels", "raft", "flow", "synthetic", "evaluation"),
    "drawing": (),
    "packet_ring": (),
    "event_database": (),
    "shipped": (),
    "own_packages": (),
}
"""What each part of the library stands on."""


@pytest.mark.parametrize("part", FLOORS)
def test_a_part_of_the_library_knows_only_what_it_stands_on(part: str) -> None:
    allowed = [f"raftline.{name}" for name in (part, *BENEATH_ALL, *FLOORS[part])]
    ours = [i for i in of(f"raftline.{part}") if within(i.imported, OURS)]
    refuse([i for i in ours if not within(i.imported, tuple(allowed))])


def test_every_part_of_the_library_has_its_floor() -> None:
    parts = {name for i in library() if (name := i.importer.partition("raftline.")[2].partition(".")[0])}
    assert parts == set(FLOORS)


CONTRACT = (
    "pipeline.stage",
    "pipeline.sections",
    "pipeline.segments",
    "pipeline.messages",
    "pipeline.errors",
    "pipeline.redaction",
    "pipeline.input_paths",
)


def test_stages_know_the_contract_and_the_library_but_not_each_other() -> None:
    for name in sorted({i.importer.split(".")[1] for i in of("stages") if "." in i.importer}):
        allowed = (f"stages.{name}", "stages.shared", "raftline", *CONTRACT)
        ours = [i for i in of(f"stages.{name}") if within(i.imported, OURS)]
        refuse([i for i in ours if not within(i.imported, allowed) or within(i.imported, ABOVE)])


def test_what_stages_share_knows_no_stage() -> None:
    ours = [i for i in of("stages.shared") if within(i.imported, OURS)]
    refuse([i for i in ours if not within(i.imported, ("stages.shared", "raftline", *CONTRACT))])


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "av", "cv2", "numba", "scipy", "redis", "pydantic")
    code = f"import sys, raftline, raftline.cli.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dis_and_the_configuration_of_any_flow_do_without_torch() -> None:
    code = """
import sys
import numpy as np
from raftline.flow.estimators import open_session
from raftline.flow.options import FlowOptions
from stages.flow import OpticalFlow

session = open_session(FlowOptions(estimator="dis"))
frames = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
assert session(frames[0]) is None and session(frames[1]).flow_px.shape == (64, 64, 2)
OpticalFlow.Options(estimator="raft")
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


OPTIONS = ("raftline.flow.options", "raftline.evaluation.protocol", "raftline.raft.choices")
"""What the command line makes its options of."""


def test_options_are_described_without_anything_heavy() -> None:
    refuse([i for i in of(*OPTIONS) if is_foreign(i.imported)])
    refuse([i for i in of(*OPTIONS) if within(i.imported, OURS) and not within(i.imported, OPTIONS)])


def test_the_command_line_reaches_into_no_stage() -> None:
    refuse([i for i in of("raftline.cli") if within(i.imported, ("stages",)) and not shared_file(i.imported)])


def shared_file(name: str) -> bool:
    return within(name, ("stages.shared",))


READING_SIDE = (
    "pipeline.errors",
    "pipeline.redaction",
    "pipeline.config",
    "pipeline.codec",
    "pipeline.messages",
    "pipeline.payload",
    "pipeline.fleet.facts",
    "pipeline.fleet.overview",
    "pipeline.fleet.reading",
    "pipeline.runtime.run_folder",
    "pipeline.runtime.run_status",
    "pipeline.runtime.source_changes",
    "pipeline.transport.redis_streams",
    "pipeline.transport.tail",
)
"""What of the machine the page may know: it reads, asks for changes of sources, and owns nothing."""


def test_the_page_knows_the_reading_side_of_the_machine_alone() -> None:
    ours = [
        i for i in of("raftline.web") if within(i.imported, ("pipeline", "stages", "raftline.cli", "raftline.video"))
    ]
    refuse([i for i in ours if not within(i.imported, READING_SIDE)])


PLACING = ("keys", "facts", "shares", "reading", "overview", "control", "wanted", "trials", "placement")
"""What of a fleet can be driven without a run."""


def test_a_fleet_is_placed_without_a_run() -> None:
    allowed = (
        *(f"pipeline.fleet.{name}" for name in PLACING),
        *(
            "pipeline.errors",
            "pipeline.redaction",
            "pipeline.config",
            "pipeline.transport",
            "pipeline.runtime.ownership",
        ),
    )
    ours = [i for i in of(*(f"pipeline.fleet.{name}" for name in PLACING)) if within(i.imported, OURS)]
    refuse([i for i in ours if not within(i.imported, allowed)])


def test_nothing_depends_on_the_command_line() -> None:
    refuse(
        [i for i in of("pipeline", "stages", "raftline.video") if within(i.imported, ("raftline.cli", "run_pipeline"))]
    )


def test_only_the_registry_imports_by_name() -> None:
    callers = {module_name(file) for file in source_files() if "import_module(" in file.read_text()}
    assert callers <= {"pipeline.registry", "raftline", "raftline.cli.app", "raftline.own_packages"}


def test_nothing_is_unpickled() -> None:
    wrong = []
    for file in source_files():
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            unsafe = called in ("pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load", "eval", "exec")
            unsafe |= called == "torch.load" and keywords.get("weights_only") != "True"
            unsafe |= called in ("np.load", "numpy.load") and keywords.get("allow_pickle", "False") != "False"
            if unsafe:
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} calls {called}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_test_folder_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_file_is_a_drawer_for_everything() -> None:
    names = {"utils.py", "helpers.py", "misc.py", "common.py"}
    assert [str(file) for file in source_files() if file.name in names] == []
