"""``validate`` and ``stages``: what a configuration and the plug-ins are, without running them."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipeline import registry
from pipeline.config import Plan, make_plan
from pipeline.config.explain import allowed, schema_of
from pipeline.errors import PluginError
from pipeline.redaction import redact
from pipeline.stage import Source, Stage
from raftline.cli.arguments import ConfigFile, Debug, Inputs, Output, Overrides, Redis, read_config
from raftline.cli.failures import reported
from raftline.cli.results import console


@reported
def validate(
    config: ConfigFile,
    inputs: Inputs = None,
    output: Output = None,
    overrides: Overrides = None,
    redis: Redis = None,
    debug: Debug = False,
) -> None:
    """Check a configuration without running it: keys, options, wiring, and that every stage can be imported.

    \b
    raftline validate configs/cameras.yaml --set stages.flow.options.iterations=8
    """
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


@reported
def stages(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A name from the list, or module:Class.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """List the stages that are installed, or show one: what it reads and writes, its options, units and defaults.

    \b
    raftline stages
    raftline stages flow
    raftline stages my_package.my_module:MyStage
    """
    registry.add_search_path(["."])
    if name is None:
        _list_stages()
    else:
        _show_stage(name, registry.load(name))


def _tree(plan: Plan) -> Tree:
    nodes: dict[str, Tree] = {}
    root = Tree("")
    for name, stage in plan.stages.items():
        label = f"[bold]{escape(name)}[/bold]  {escape(stage.use)}"
        if stage.workers > 1:
            label += f"  x {stage.workers}"
        if stage.reads is None:
            root = nodes[name] = Tree(label)
        else:
            nodes[name] = nodes[stage.reads].add(label)
    return root


def _list_stages() -> None:
    table = Table("name", "reads", "writes", "what it does", title="stages", title_justify="left")
    for name, use in registry.names().items():
        try:
            cls = registry.load(name)
        except PluginError as error:
            table.add_row(escape(name), "", "", f"cannot be used: {escape(str(error))}")
            continue
        reads, writes = _reads_writes(cls)
        table.add_row(escape(name), reads, writes, f"{escape(_first_line(cls))}\n[dim]{escape(use)}[/dim]")
    out = console()
    if not table.row_count:
        out.print("no stage is installed under a name (pip install -e . installs ours); module:Class works always")
        return
    out.print(table)
    out.print("options of one: raftline stages NAME")


def _show_stage(name: str, cls: registry.PluginClass) -> None:
    out = console()
    reads, writes = _reads_writes(cls)
    out.print(f"[bold]{escape(name)}[/bold]  {escape(cls.__module__)}:{escape(cls.__qualname__)}", highlight=False)
    out.print(escape(inspect.getdoc(cls) or ""), highlight=False)
    out.print(f"reads {reads}; writes {writes}", highlight=False)
    if issubclass(cls, Stage) and cls.needs:
        out.print(f"asks for {', '.join(sorted(cls.needs))}", highlight=False)
    properties: dict[str, Any] = schema_of(cls.Options).get("properties", {})
    required = schema_of(cls.Options).get("required", [])
    if not properties:
        out.print("no options")
        return
    table = Table("option", "default", "allowed", "meaning", title="options", title_justify="left")
    for key, node in properties.items():
        default = "required" if key in required else _yaml(node.get("default"))
        table.add_row(escape(key), escape(default), escape(allowed(node)), escape(node.get("description", "")))
    out.print(table)


def _yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reads_writes(cls: registry.PluginClass) -> tuple[str, str]:
    if issubclass(cls, Source):
        return "an input", "Frame"
    return ", ".join(t.__name__ for t in cls.reads), cls.writes.__name__ if cls.writes else "files or nothing"


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]
