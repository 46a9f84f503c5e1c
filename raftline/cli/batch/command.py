"""``batch``: many files, each a run of its own, some at a time."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline.errors import ConfigError, OutputInWork
from pipeline.input_paths import plain
from pipeline.remote.scratch import scratch_folder
from pipeline.remote.urls import is_remote
from raftline.cli.arguments import ConfigFile, Debug, Overrides, Redis, config_file, read_config
from raftline.cli.batch.files import BatchFile, already_finished, as_given, name_files
from raftline.cli.batch.lane import Interruption, Lane, Outcome
from raftline.cli.batch.own_outputs import OwnOutputs
from raftline.cli.batch.place import SUMMARY, Place
from raftline.cli.batch.places import open_place
from raftline.cli.batch.ray_lane import RayLane, connect_to_ray, cores_of_nodes
from raftline.cli.batch.rules import Found
from raftline.cli.batch.shard import WHOLE, Shard
from raftline.cli.batch.walk import Finder
from raftline.cli.batch.work import run_all
from raftline.cli.failures import INTERRUPTED, USER_MISTAKE, reported, say_error
from raftline.cli.results import console

_SUMMARY_SECONDS = 60.0
"""Longest wait for another shard that writes the summary of all: it reads that of each file, thousands of them."""
_LOOK_SECONDS = 0.1


@reported
def batch(
    config: ConfigFile,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Video files, folders to search for videos, or patterns such as 'clips/*.mp4'; here or in a store, as "
            "s3://BUCKET/FOLDER, gs://, az:// or sftp://HOST/FOLDER.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Directory for results, or the URL of one.", show_default=False
        ),
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Files to process at the same time. 1 by default; with Ray as many as the cluster has cores for.",
            show_default=False,
        ),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where files are processed: on this machine, or on the nodes of a Ray cluster."),
    ] = "local",
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Of the Ray cluster; auto: the one that this machine belongs to.")
    ] = "auto",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="INDEX/COUNT",
            help="Work on one of COUNT parts of the files (INDEX from 0), so that COUNT machines share a batch; auto: "
            "as the task of a Kubernetes Indexed Job or a SLURM array.",
            show_default=False,
        ),
    ] = None,
    segment_minutes: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="MINUTES",
            help="Longer files are worked on in segments of this length at the same time, where there are fewer files "
            "than jobs; 0: every file in one piece.",
        ),
    ] = 10.0,
    include_hidden: Annotated[
        bool, typer.Option("--include-hidden", help="Take hidden files in folders, and look into hidden folders.")
    ] = False,
    fetch: Annotated[
        bool,
        typer.Option(
            "--fetch", help="Copy each file of a store to the scratch folder first, also where it can be read in place."
        ),
    ] = False,
    scratch: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder on each machine for what comes from a store and goes there. $RAFTLINE_SCRATCH by default, or "
            "~/.cache/raftline/scratch.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    redis: Redis = None,
    debug: Debug = False,
) -> None:
    """Run a pipeline over many files, and skip those that are finished and have not changed since.

    Outputs lie in the same folders below the output directory as the files below INPUT. What raftline wrote itself,
    hidden files, unfinished downloads and files without video are left out and counted.

    A file that fails does not stop the others: it is named at the end, and the exit code is 2. Each file gets a
    NAME.summary.json; summary.json has them all.

    \b
    raftline batch batch recordings/ -o out --jobs 4
    raftline batch batch /shared/recordings -o /shared/out --shard 3/8
    raftline batch batch s3://recordings/2026 -o s3://results/2026
    """
    from pipeline.config import make_plan
    from pipeline.runtime.output_lock import this_process
    from raftline.cli.batch.news import BatchNews
    from raftline.cli.batch.progress import batch_progress  # what it draws with takes 30 ms to load

    begin, started = time.monotonic(), datetime.now(timezone.utc)
    part = WHOLE if shard is None else Shard.parse(shard)
    place = open_place(plain(output), scratch_folder(scratch))
    found = _find(config, inputs, place, plain(output), overrides, include_hidden)
    place.check_writable()
    place.refresh()
    files = name_files(found.files, place.notes)
    # Of two files, so that outputs without {source} in their name, which would overwrite each other, are refused.
    plan = make_plan(read_config(config, [as_given(file.path) for file in files[:2]], place.work, overrides, redis))
    if executor == "ray":
        connect_to_ray(address)
    jobs, cores = _shared_out(jobs, plan.cores, cores_of_nodes() if executor == "ray" else None)
    request = {
        "config": os.path.abspath(config_file(config)),
        "overrides": overrides or [],
        "output": plain(output) if executor == "local" or is_remote(output) else os.path.abspath(plain(output)),
        "scratch": scratch and os.path.abspath(scratch),
        "fetch": fetch,
        "redis": redis,
        "cores": cores,
        "run": f"batch of {this_process()} {secrets.token_hex(4)}",
    }
    ours = [file for file in files if part.has(file)]
    todo = [file for file in ours if not already_finished(file, plan, place.notes, place.has)]
    skipped = len(ours) - len(todo)
    of_all = "" if part is WHOLE else f" of {len(files)} ({part})"
    print(f"{len(ours)} files{of_all}, {skipped} finished before, {len(todo)} to do, {jobs} at a time", flush=True)
    if found.left_out:
        print(f"left out: {found.reasons()}", flush=True)
    news = BatchNews(place.notes, plan.name, len(todo), None if part is WHOLE else part.index)
    with Interruption(_say_it_stops) as interruption, batch_progress(len(todo), len(plan.stages), news) as progress:
        lane = RayLane if executor == "ray" else Lane
        lanes = [lane(request, interruption) for _ in range(jobs)]
        # What a segment leaves for the others lies beside the outputs, and no store is such a place.
        stores = is_remote(output) or any(is_remote(file.path) for file in todo)
        outcomes = run_all(todo, lanes, progress, interruption, None if stores else 60 * segment_minutes or None)
    left = {name for name, outcome in outcomes.items() if outcome.left}
    about = {"started": started.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - begin, 3)}
    summary = _write_summary(plan.name, files, ours, place, left, about)
    _conclude(summary, outcomes, skipped, place, len(ours) if interruption.happened else None)
    if interruption.happened:
        raise typer.Exit(INTERRUPTED)
    if any(outcome.error for outcome in outcomes.values()):
        raise typer.Exit(USER_MISTAKE)


def _shared_out(jobs: int | None, cores: int | None, nodes: list[int] | None) -> tuple[int, int]:
    """How many files at a time, and the cores of each.

    Args:
        jobs: As asked for.
        cores: The budget of the configuration: of this machine, or, with Ray, of a file.
        nodes: Cores of each node of a Ray cluster; None: all is done on this machine.

    Raises:
        ConfigError: If no node has as many cores as a file is to have.
    """
    from pipeline.runtime.cores import available_cores

    if nodes is None:
        return jobs or 1, max(1, (cores or available_cores()) // (jobs or 1))
    largest = max(nodes)
    if cores is not None and cores > largest:
        raise ConfigError(
            f"cores: found {cores}, which each file gets; the largest node of the Ray cluster has {largest}: give "
            f"--set cores={largest} or fewer"
        )
    of_file = cores or (min(largest, max(1, sum(nodes) // jobs)) if jobs else 1)
    return jobs or sum(each // of_file for each in nodes), of_file


def _find(
    config: Path, inputs: list[str], place: Place, output: str, overrides: list[str] | None, include_hidden: bool
) -> Found:
    from pipeline.config import make_plan
    from pipeline.stage import Source

    any_one = [as_given(each) for each in inputs[:1]]  # which files, comes of it
    plan = make_plan(read_config(config, any_one, place.work, overrides))
    source = plan.stages[plan.source_stage].cls
    assert issubclass(source, Source)
    return Finder(source.left_out, OwnOutputs(output, plan), include_hidden).find(inputs)


def _write_summary(
    name: str, files: list[BatchFile], ours: list[BatchFile], place: Place, left: set[str], about: dict[str, Any]
) -> dict[str, Any]:
    """Write one summary of all files, those of earlier runs and of other shards included, and return that of `ours`."""
    from pipeline.runtime.summary import write_summary

    with _alone_at(place):  # shards that end together must not overwrite what the other has seen
        place.refresh()
        write_summary(place.notes / SUMMARY, {**_merged(name, files, ours, place.notes, left), **about})
        place.deliver_summary()
    return {**_merged(name, ours, ours, place.notes, left), **about}


@contextmanager
def _alone_at(place: Place) -> Iterator[None]:
    deadline = time.monotonic() + _SUMMARY_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(place.alone(SUMMARY))
                break
            except OutputInWork:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOOK_SECONDS)
        yield


def _merged(name: str, files: list[BatchFile], ours: list[BatchFile], output: Path, left: set[str]) -> dict[str, Any]:
    """One summary of files, without those `left` to another run. Of `ours`, those that have none failed."""
    sources: dict[str, Any] = {}
    shown = [file for file in files if file.display not in left]
    missing = set[str]()
    for file in shown:
        summary = file.summary(output).get("sources", {})
        if file.name in summary:
            sources[file.key] = summary[file.name]
        else:
            missing.add(file.key)
    states = {source["state"] for source in sources.values()}
    failed = "failed" in states or any(file.key in missing for file in ours)
    finished = states == {"finished"} and not left and not missing
    state = "failed" if failed else "finished" if finished else "stopped"
    return {"pipeline": name, "state": state, "error": None, "left_to_another_run": sorted(left), "sources": sources}


def _say_it_stops() -> None:
    print("stopping: no file is begun any more, and those under way are ended; once more to kill them", file=sys.stderr)


def _conclude(
    summary: dict[str, Any], outcomes: dict[str, Outcome], skipped: int, place: Place, stopped: int | None
) -> None:
    """Say how it went. `stopped`: how many files there are, if not all were done since somebody stopped it."""
    finished = sum(source["state"] == "finished" for source in summary["sources"].values())
    frames = sum(source["frames_decoded"] for source in summary["sources"].values())
    failed = {path: outcome.error for path, outcome in outcomes.items() if outcome.error}
    left = len(summary["left_to_another_run"])
    console().print(
        f"{finished} files finished ({skipped} of them before), {len(failed)} failed, "
        + (f"{left} left to another run, " if left else "")
        + f"{frames} frames, {summary['seconds']:.1f} s; "
        f"everything in numbers: {os.path.join(place.shown, SUMMARY)}",
        highlight=False,
        soft_wrap=True,
    )
    if stopped is not None and (open_files := stopped - finished - len(failed) - left) > 0:
        print(f"{open_files} files are not finished: run the same command again to go on with them", flush=True)
    for path, error in failed.items():
        say_error(error if path in error else f"{path}: {error}")
