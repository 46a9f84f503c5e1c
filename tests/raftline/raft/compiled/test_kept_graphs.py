"""Compiled graphs that the next process finds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install '.[openvino]'")

from raftline.raft.compiled import kept_graphs
from raftline.raft.compiled.graphs import context_terms
from raftline.raft.compiled.kept_graphs import KeptGraphs, made_of
from raftline.raft.compiled.network import CompiledRaft
from raftline.raft.model import Raft
from raftline.raft.precision import Precision
from tests.raftline.raft.recipes import numbered_weights

CELLS = 3, 5
CONTEXT = torch.linspace(-1, 1, 64 * CELLS[0] * CELLS[1]).reshape(1, 64, *CELLS)


def a_model(seed: int = 0) -> Raft:
    model = Raft("small").eval().requires_grad_(False)
    model.load_state_dict(numbered_weights("small", seed))
    return model


@pytest.fixture(scope="module")
def model() -> Raft:
    return a_model()


def compiled(model: Raft, folder: Path, made: list[str]) -> CompiledRaft:
    """A network that says what it compiles."""
    found = CompiledRaft(model, Precision(compiled="float32"), kept=KeptGraphs(made_of(model, None), folder))
    layers = found._layers
    found._layers = lambda part, *size: made.append(part.__name__) or layers(part, *size)  # type: ignore[method-assign]
    return found


def test_the_next_process_compiles_nothing_and_gets_the_same(model: Raft, tmp_path: Path) -> None:
    made: list[str] = []
    first, second = (compiled(model, tmp_path / "graphs", made)._run(context_terms, CONTEXT) for _ in range(2))
    assert made == ["context_terms"]
    assert len(first) == 2 and all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


REFUSED = b"of another version"


@pytest.mark.parametrize(
    "content", [b"", bytes(5000), hashlib.sha256(REFUSED).digest() + REFUSED], ids=["empty", "damaged", "refused"]
)
def test_a_file_that_cannot_be_read_is_replaced(model: Raft, tmp_path: Path, content: bytes) -> None:
    made: list[str] = []
    compiled(model, tmp_path, made)._run(context_terms, CONTEXT)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    for compilations in (2, 2):
        compiled(model, tmp_path, made)._run(context_terms, CONTEXT)
        assert len(made) == compilations and list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written_graphs_are_compiled(model: Raft, tmp_path: Path) -> None:
    made: list[str] = []
    (tmp_path / "file").write_text("no folder")
    compiled(model, tmp_path / "file" / "graphs", made)._run(context_terms, CONTEXT)
    assert made == ["context_terms"]


def test_other_weights_have_other_graphs(model: Raft) -> None:
    assert made_of(model, None) == made_of(a_model(), None) != made_of(a_model(seed=1), None)


def test_the_one_that_was_not_read_for_longest_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_graphs, "_MOST_FILES", 2)
    kept = KeptGraphs(b"", tmp_path)
    for at, name in enumerate("ab"):
        kept.put(name.encode(), name)
        os.utime(kept._path((name,)), (at, at))
    assert kept.get("a") == b"a"
    kept.put(b"c", "c")
    assert [kept.get(name) for name in "abc"] == [b"a", None, b"c"]
