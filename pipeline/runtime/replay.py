"""A dead letter given to its stage once more, in this process and with a new object: does it still fail?

The run goes on untouched. Its readers have had a Gap in the place of the message; to publish it now would break their
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.codec import decode, materialize
from pipeline.config.plan import Plan
from pipeline.errors import ConfigError, DecodeError, StalePayloadError
from pipeline.messages import EndOfStream, Message
from pipeline.payload.inline import InlinePayload
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.hosted import HostedStage
from pipeline.stage import Stage


@dataclass(frozen=True)
class Replayed:
    """What a stage made of a dead letter."""

    messages: list[Message]
    outputs: list[Path]
    """Files that it finished."""


def replay(plan: Plan, stage: str, source: str, fields: Mapping[bytes, bytes], directory: Path) -> Replayed:
    """Give an entry to its stage, then the end of the source.

    Args:
        plan: Of the run.
        stage: The stage that could not process it.
        source: Its source.
        fields: The entry.
        directory: Where outputs go, so that those of the run are left alone.

    Raises:
        ConfigError: The plan has no such stage or source, or the pixels are gone.
        DecodeError: The entry is no message of this version.
        Exception: What the stage raises.
    """
    if stage not in plan.stages or source not in plan.sources:
        raise ConfigError(
            f"the run has no stage {stage!r} with a source {source!r}; stages: {', '.join(plan.stages)}; sources: "
            f"{', '.join(plan.sources)}"
        )
    message = decode(fields, InlinePayload())
    try:
        materialize(message)
    except (StalePayloadError, DecodeError) as error:
        raise ConfigError("its pixels are gone: they had been recycled before it was given up") from error
    staged, said = plan.stages[stage], dict[str, str]()
    source_plan = plan.sources[source]
    context = WorkerContext(
        stage, source_plan, directory, staged.needs, staged.threads, on_status=said.update, demand=staged.demand
    )
    assert issubclass(staged.cls, Stage)
    hosted = HostedStage(stage, staged.use, staged.cls, staged.options, context)
    try:
        hosted.open()
        made = list(hosted.made_of(message))
        header = replace(message.header, sequence=message.header.sequence + 1)
        made += hosted.made_of(EndOfStream(header, "stopped"))
    finally:
        hosted.stage.close()
        context.close()
    return Replayed(made, [Path(name.partition(" ")[2]) for name in said if name.startswith("output ")])
