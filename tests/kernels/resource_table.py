"""`python -m tests.kernels.resource_table`: registers, shared memory and spills of every kernel, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.kernels.compilation import ARCHITECTURES, Resources, compile_variant, files, variants


def resource_table(found: Sequence[Resources]) -> str:
    """One line per function, variant and architecture."""
    lines = [
        "| kernel | variant | sm | registers | shared bytes | stack bytes | spilled bytes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        variant = " ".join(f"{name}={value}" for name, value in one.defines)
        figures = (one.architecture, one.registers, one.shared_bytes, one.stack_bytes, one.spilled_bytes)
        lines.append(f"| {one.function} | {variant} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def main() -> None:
    every = [(file, sm, defines) for file in files() for sm in ARCHITECTURES for defines in variants(file)]
    print(resource_table([one for file, sm, defines in every for one in compile_variant(file, sm, defines)]))


if __name__ == "__main__":
    main()
