"""Registers, shared memory and spills of every kernel, as a table.

python -m tests.raftline.kernels.resource_table > benchmarks/results/kernel_resources.md
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.raftline.kernels.compilation import ARCHITECTURES, Resources, compile_variant, compiler, files, variants


def resource_table(found: Sequence[Resources]) -> str:
    """A line per function and variant; registers and spilled bytes by architecture."""
    architectures = sorted({one.architecture for one in found})
    titles = [
        "kernel",
        "variant",
        "shared bytes",
        *(f"sm_{sm}" for sm in architectures),
        "spilled bytes",
        "stack bytes",
    ]
    lines = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    for function, defines in dict.fromkeys((one.function, one.defines) for one in found):
        same = {one.architecture: one for one in found if (one.function, one.defines) == (function, defines)}
        cells = [function, " ".join(f"{name}={value}" for name, value in defines)]
        cells.append(_range([one.shared_bytes for one in same.values()]))
        cells += [str(same[sm].registers) if sm in same else "" for sm in architectures]
        cells.append(_range([one.spilled_bytes for one in same.values()]))
        cells.append(_range([one.stack_bytes for one in same.values()]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(values: list[int]) -> str:
    least, greatest = min(values), max(values)
    return str(least) if least == greatest else f"{least} to {greatest}"


def main() -> None:
    every = [(file, sm, defines) for file in files() for sm in ARCHITECTURES for defines in variants(file)]
    found = [one for file, sm, defines in every for one in compile_variant(file, sm, defines)]
    print(f"Registers a thread by architecture, of every kernel in every variant. {compiler()},")
    print("`python -m tests.raftline.kernels.resource_table`\n")
    print(resource_table(found))


if __name__ == "__main__":
    main()
