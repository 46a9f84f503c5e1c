"""``validate``: check a configuration without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.tree import Tree

from pipeline.redaction import redact
from raftline.cli.arguments import ConfigFile, Debug, Inputs, Output, Overrides, Redis, read_config
from raftline.cli.failures import reported
from raftline.cli.results import console

if TYPE_CHECKING:
    from pipeline.config import Plan


@reported
def validate(
    config: ConfigFile,
    inputs: Inputs = None,
    output: Output = None,
    overrides: Overrides = None,
    redis: Redis = None,
    debug: Debug = False,
) -> None:
    """Check a configuration without running it: keys, options, wiring, and whether every stage can be imported.

    \b
    raftline validate cameras --set stages.flow.options.iterations=8
    """
    from pipeline.config import make_plan

    plan = make_plan(read_config(config, inputs, output, overrides, redis), require_sources=False)
    out = console()
    out.print(_tree(plan))
    for name, source in plan.sources.items():
        out.print(f"source {escape(name)}: {escape(source.info.display)} ({source.policy})", highlight=False)
    if not plan.sources:
        out.print("no sources: give some with -i when you run it")
    where = redact(plan.redis_url) if plan.redis_url else f"a private server, {plan.redis_memory_mb} MB"
    out.print(f"Redis: {escape(where)}; payload: {plan.payload}; output: {escape(str(plan.output))}", highlight=False)
    out.print(f"{escape(str(config))} is valid", highlight=False)


def _tree(plan: Plan) -> Tree:
    nodes: dict[str, Tree] = {}
    root = Tree("")
    for name, stage in plan.stages.items():
        label = f"[bold]{escape(name)}[/bold]  {escape(stage.use)}"
        if stage.workers is not None and stage.workers > 1:
            label += f"  x {stage.workers}"
        if stage.reads is None:
            root = nodes[name] = Tree(label)
        else:
            nodes[name] = nodes[stage.reads].add(label)
    return root
