"""Make a plan from a configuration: import the classes, check options, and check that the stages form a tree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from pipeline import registry
from pipeline.config.explain import explain, nearest
from pipeline.config.plan import Plan, Policy, SourcePlan, StagePlan
from pipeline.config.schema import Config, SourceSection
from pipeline.errors import ConfigError, PluginError
from pipeline.input_paths import STANDARD_INPUT, plain
from pipeline.messages import Frame
from pipeline.redaction import redact
from pipeline.stage import Source, SourceInfo, Stage, demand_of


def make_plan(config: Config, *, require_sources: bool = True) -> Plan:
    """Check everything that can be checked before a frame is read.

    Args:
        config: The configuration.
        require_sources: Whether a configuration without sources is an error.

    Raises:
        ConfigError: If options, wiring or sources are wrong.
        PluginError: If a stage cannot be imported.
    """
    search_path = search_path_of(config)
    registry.add_search_path(search_path)
    stages = {name: _stage(config, name) for name in config.stages}
    source_stage = _source_stage(config, stages)
    for stage in stages.values():
        _check_reads(config, stage, stages)
    stages = _with_readers(_in_order(config, stages))
    if require_sources and not config.sources:
        raise ConfigError(f"{config.file}: sources: there are none; add one with -i INPUT or under `sources`")
    sources = {name: _source(config, name, section, stages[source_stage]) for name, section in config.sources.items()}
    _check_pipe(config, sources)
    _check_paths(config, stages, sources)
    return Plan(
        name=config.name,
        payload=config.payload,
        output=config.output,
        redis_url=config.redis.url,
        redis_memory_mb=config.redis.memory_mb,
        limits=config.limits,
        source_stage=source_stage,
        stages=stages,
        sources=sources,
        cores=config.cores,
        search_path=search_path,
        file=os.path.abspath(config.file),
        folder=os.getcwd(),
    )


def check_inputs(config: Config) -> None:
    """Refuse inputs that are wrong on sight. Imports the Source alone: a missing file is known before torch is loaded.

    Raises:
        InputError: If an input is wrong, naming the source.
        ConfigError: If the options of the Source are wrong.
        PluginError: If the Source cannot be imported.
    """
    registry.add_search_path(search_path_of(config))
    first = [name for name, section in config.stages.items() if section.reads is None]
    if len(first) != 1:
        return  # `make_plan` says what is wrong
    stage = _stage(config, first[0])
    for name, section in config.sources.items():
        _source(config, name, section, stage).check_input()


def search_path_of(config: Config) -> tuple[str, ...]:
    """Directories where its plug-ins may lie, after the installed ones."""
    return tuple(str(path) for path in (config.file.resolve().parent, config.file.cwd()))


def _wrong(config: Config, key_path: str, sentence: str) -> ConfigError:
    return ConfigError(f"{config.origin(tuple(key_path.split('.')))}: {key_path}: {sentence}")


def _load(config: Config, key_path: str, use: str) -> registry.PluginClass:
    try:
        return registry.load(use)
    except PluginError as error:
        raise PluginError(f"{config.file}: {key_path}: {error}") from error


def _check_options(config: Config, keys: tuple[str, ...], cls: registry.PluginClass, given: Mapping[str, Any]) -> None:
    try:
        cls.Options.model_validate(dict(given))
    except ValidationError as error:
        raise ConfigError(explain(error, cls.Options, keys, config.origin)) from None


def _stage(config: Config, name: str) -> StagePlan:
    section = config.stages[name]
    plan = StagePlan(
        section.use,
        section.options,
        name=name,
        reads=section.reads,
        workers=section.workers,
        threads=section.threads,
    )
    cls = _load(config, f"stages.{name}.use", section.use)
    _check_options(config, ("stages", name, "options"), cls, section.options)
    return plan


def _source_stage(config: Config, stages: Mapping[str, StagePlan]) -> str:
    names = [name for name, stage in stages.items() if issubclass(stage.cls, Source)]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError(
            f"{config.file}: stages: none of them is a Source, so nothing produces frames; add one, such as "
            '`decoder: {use: "stages.decoder:Decoder"}`'
        )
    raise ConfigError(
        f"{config.file}: stages: {' and '.join(names)} are both Sources, but a pipeline has exactly one; keep one "
        "under `stages` and name the other at its source: `sources: {NAME: {use: ..., input: ...}}`"
    )


def _check_reads(config: Config, stage: StagePlan, stages: Mapping[str, StagePlan]) -> None:
    key_path = f"stages.{stage.name}.reads"
    if issubclass(stage.cls, Source):
        if stage.reads is not None:
            raise _wrong(config, key_path, f"found {stage.reads!r}, but {stage.use} is a Source and reads nothing")
        return
    fitting = [name for name, other in stages.items() if name != stage.name and _fits(stage.cls, other.cls)]
    choice = f"stages that write {_types(stage.cls)}: {', '.join(fitting) or 'none here'}"
    if stage.reads is None:
        raise _wrong(config, key_path, f"this key is missing; name the stage to read ({choice})")
    if stage.reads not in stages:
        raise _wrong(config, key_path, f"there is no stage {stage.reads!r}{nearest(stage.reads, stages)} ({choice})")
    if stage.reads != stage.name and not _fits(stage.cls, stages[stage.reads].cls):
        written = _written(stages[stage.reads].cls)
        made = f"writes {written.__name__}" if written else "writes nothing"
        raise _wrong(config, key_path, f"{stage.reads} {made}, {stage.name} takes {_types(stage.cls)} ({choice})")


def _written(cls: registry.PluginClass) -> type | None:
    return cls.writes if issubclass(cls, Stage) else Frame


def _fits(reader: registry.PluginClass, writer: registry.PluginClass) -> bool:
    written = _written(writer)
    return written is not None and issubclass(reader, Stage) and issubclass(written, reader.reads)


def _types(cls: registry.PluginClass) -> str:
    return " or ".join(t.__name__ for t in cls.reads) if issubclass(cls, Stage) else "nothing"


def _in_order(config: Config, stages: Mapping[str, StagePlan]) -> dict[str, StagePlan]:
    """Each stage after the one it reads. Each reads one stage, so a walk up the streams that never ends is a cycle."""
    ordered: dict[str, StagePlan] = {}
    for name in stages:
        walk: list[str] = []
        at: str | None = name
        while at is not None and at not in ordered:
            if at in walk:
                cycle = " -> ".join([*walk[walk.index(at) :], at])
                raise _wrong(config, f"stages.{at}.reads", f"the stages read each other in a cycle: {cycle}")
            walk.append(at)
            at = stages[at].reads
        ordered.update((step, stages[step]) for step in reversed(walk))
    return ordered


def _with_readers(stages: dict[str, StagePlan]) -> dict[str, StagePlan]:
    result = {}
    for name, stage in stages.items():
        readers = tuple(other.name for other in stages.values() if other.reads == name)
        classes = {reader: cls for reader in readers if issubclass(cls := stages[reader].cls, Stage)}
        needs = frozenset(need for cls in classes.values() for need in cls.needs)
        demand = demand_of({reader: cls.accuracy for reader, cls in classes.items()})
        result[name] = replace(stage, readers=readers, needs=needs, demand=demand)
    return result


def _source(config: Config, name: str, section: SourceSection, stage: StagePlan) -> SourcePlan:
    own_class = section.use is not None and section.use != stage.use
    use = section.use if section.use is not None else stage.use
    given = section.options if own_class else {**stage.given, **section.options}
    cls = _load(config, f"sources.{name}.use", use)
    if not issubclass(cls, Source):
        raise _wrong(config, f"sources.{name}.use", f"found {use!r}, which is a Stage; expected a Source")
    _check_options(config, ("sources", name, "options"), cls, given)
    live = bool(cls.is_live(section.input))
    by_nature: Policy = "live" if live else "lossless"
    policy = by_nature if config.policy == "auto" else config.policy
    info = SourceInfo(name=name, input=section.input, display=redact(section.input), live=live, once=config.once)
    return SourcePlan(use, given, info=info, policy=policy)


def _check_pipe(config: Config, sources: Mapping[str, SourcePlan]) -> None:
    piped = [name for name, source in sources.items() if source.info.input == STANDARD_INPUT]
    if len(piped) > 1:
        raise _wrong(config, f"sources.{piped[1]}.input", f"found '-', standard input, which {piped[0]} reads already")


def _check_paths(config: Config, stages: Mapping[str, StagePlan], sources: Mapping[str, SourcePlan]) -> None:
    """Two stages, or two sources, must not write one file, and none its input."""
    seen: dict[str, str] = {}
    for name, stage in stages.items():
        path = getattr(stage.options, "path", None)
        if not isinstance(path, str):
            continue
        key_path = f"stages.{name}.options.path"
        filled_in = path.replace("{stage}", name)
        if filled_in in seen:
            raise _wrong(config, key_path, f"found {path!r}, which stage {seen[filled_in]} already writes")
        if len(sources) > 1 and "{source}" not in path:
            raise _wrong(config, key_path, f"found {path!r} for {len(sources)} sources; it must contain {{source}}")
        for source, plan in sources.items():
            if os.path.realpath(config.output / filled_in.replace("{source}", source)) == os.path.realpath(
                plain(plan.info.input)
            ):
                raise _wrong(
                    config,
                    key_path,
                    f"found {path!r}, which would replace the input {plan.info.display}; give the "
                    "output another name, or choose another directory with -o",
                )
        seen[filled_in] = name
