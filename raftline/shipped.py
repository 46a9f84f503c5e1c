"""The configurations that come with raftline, by name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "configs"


def shipped_configurations() -> dict[str, Path]:
    """Name -> YAML file, in order of name: ``demo``, ``stabilize``, ..., and ``train/smoke``, ... for training."""
    files = sorted(FOLDER.glob("*.yaml")) + sorted(FOLDER.glob("train/*.yaml"))
    return {str(file.relative_to(FOLDER).with_suffix("")): file for file in files}


def about(file: Path) -> str:
    """What a configuration is for: the first sentence of the comment at its head."""
    comment = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    sentence, stop, _ = " ".join(comment).partition(". ")
    return sentence + stop.strip()
