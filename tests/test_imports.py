"""Imports run one way, nothing is unpickled, and the folders are what their names say."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("pipeline", "stages", "training", "commands", "run_pipeline")
PURE = ("stages.raft", "stages.kernels", "stages.motion")
COMPUTING = {"torch", "numpy", "cupy", "numba", "cv2", "scipy", "safetensors"}


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
    forbidden = ("stages", "training", "commands", "torch", "cupy", "av", "cv2", "numba", "scipy")
    refuse([found for found in of("pipeline") if within(found.imported, forbidden)])


@pytest.mark.parametrize("package", PURE)
def test_the_computing_packages_need_only_arrays(package: str) -> None:
    refuse([i for i in of(package) if is_foreign(i.imported) and i.imported.partition(".")[0] not in COMPUTING])
    also = {"stages.raft": ("stages.kernels",), "stages.motion": ("stages.kernels.compiled",)}
    allowed = (package, *also.get(package, ()))
    refuse([i for i in of(package) if within(i.imported, OURS) and not within(i.imported, allowed)])


CONTRACT = ("pipeline.stage", "pipeline.messages", "pipeline.errors", "pipeline.redaction")


def test_media_code_needs_only_containers_pixels_and_the_contract() -> None:
    allowed = {"av", "cv2", "numpy", "stages.media", *CONTRACT}
    known = [i for i in of("stages.media") if is_foreign(i.imported) or within(i.imported, OURS)]
    refuse([i for i in known if not within(i.imported, allowed)])


SHARED = (*PURE, "stages.media")


def stage_of(name: str) -> str:
    """``stages.flow`` of ``stages.flow.anything``"""
    return ".".join(name.split(".")[:2])


def test_stages_know_the_contract_and_the_shared_code_but_not_each_other() -> None:
    stages = [i for i in of("stages") if not within(i.importer, SHARED) and within(i.imported, OURS)]
    others = [i for i in stages if not within(i.imported, (*CONTRACT, *SHARED))]
    between = [i for i in others if stage_of(i.imported) != stage_of(i.importer)]
    refuse([i for i in between if not belongs_to(i.imported, stage_of(i.importer))])


def belongs_to(imported: str, stage: str) -> bool:
    """A stage may have a package for its parts, which no other stage imports."""
    package = stage_of(imported)
    importers = {stage_of(i.importer) for i in IMPORTS if within(i.imported, (package,))} - {package}
    return ROOT.joinpath(*package.split(".")).is_dir() and importers == {stage}


def test_training_needs_the_network_but_not_the_machine() -> None:
    refuse([i for i in of("training") if within(i.imported, ("pipeline", "commands", "run_pipeline"))])


def test_the_command_line_loads_what_is_heavy_only_in_the_commands_that_need_it() -> None:
    heavy = ("torch", "av", "cv2", "numba", "scipy", "stages", "training")
    refuse([i for i in of("run_pipeline", "commands") if i.at_top and within(i.imported, heavy)])


def test_nothing_depends_on_the_command_line() -> None:
    refuse([i for i in of("pipeline", "stages", "training") if within(i.imported, ("commands", "run_pipeline"))])


def test_only_the_registry_imports_by_name() -> None:
    callers = {module_name(file) for file in source_files() if "import_module(" in file.read_text()}
    assert callers <= {"pipeline.registry"}


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
