"""``run``: a whole pipeline on this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import ConfigError
from pipeline.input_paths import plain
from pipeline.remote.urls import is_remote
from raftline.cli.arguments import ConfigFile, Debug, Inputs, Overrides, Redis, read_config
from raftline.cli.failures import INTERRUPTED, USER_MISTAKE, reported, say_error, show_tracebacks
from raftline.cli.output_directory import make_output_directory

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from pipeline.config import Plan
    from pipeline.config.schema import Config
    from raftline.cli.progress import RunProgress

_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


@reported
def run(
    config: ConfigFile,
    inputs: Inputs = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Directory for results, or its URL, such as s3://BUCKET/FOLDER. Replaces `output`.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    redis: Redis = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Serve /metrics for Prometheus, /healthz and /readyz on 127.0.0.1:PORT.",
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve the page of the run there, such as 127.0.0.1:8642. Replaces `web.listen`.",
            show_default=False,
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="End with an error if a camera cannot be reached, instead of trying for ever."),
    ] = False,
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process",
            help="All stages in this one process, one after the other, without Redis: slower, and made for "
            "breakpoint(), debuggers, profilers and whole tracebacks.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Run a pipeline until its files end or you stop it. Results and summary.json go to the output directory.

    Ctrl-C finishes the frames that were read and completes every output file. A second Ctrl-C stops at once.

    \b
    raftline run demo
    raftline run stabilize -i holiday.mp4 -o out
    raftline run cameras -i 'rtsp://user:${CAM_PASSWORD}@192.168.1.20/stream'
    raftline run flow -i clip.mp4 --set stages.flow.options.estimator=dis
    raftline run my/pipeline.yaml
    raftline run my/pipeline.yaml --in-process
    raftline run cameras --web 127.0.0.1:8642
    raftline run stabilize -i s3://bucket/holiday.mp4 -o s3://bucket/out
    """
    if any(map(is_remote, [*(inputs or ()), output or ""])):
        if metrics_port is not None or web is not None or in_process:
            raise ConfigError("files of a store are run as a batch: leave out --metrics-port, --web and --in-process")
        _run_as_batch(config, inputs, output, overrides, redis, debug)
        return
    if in_process and (redis is not None or web is not None):
        raise ConfigError("--in-process: a run in one process has no Redis, and no page; leave out --redis and --web")
    show_tracebacks(in_process)
    given = [*(overrides or ()), *(["once=true"] if once else ()), *([f"web.listen='{web}'"] if web else ())]
    folder = None if output is None else Path(plain(output))
    read = partial(read_config, config, inputs, folder, given, redis)
    if in_process:
        plan, summary = _in_process(_checked(read), metrics_port)
    else:
        plan, summary = _supervise(read, metrics_port)
    from raftline.cli.results import show_results

    show_results(summary, plan.output)
    code = outcome(summary)
    if code:
        raise typer.Exit(code)


def _run_as_batch(
    config: Path,
    inputs: list[str] | None,
    output: str | None,
    overrides: list[str] | None,
    redis: str | None,
    debug: bool,
) -> None:
    """Files of a store, or results that go to one: each file is a run of its own, as in a batch."""
    from raftline.cli.batch.command import batch

    if not inputs or not output:
        configured = read_config(config, None, None, overrides, redis)
        inputs = inputs or [source.input for source in configured.sources.values()]
        output = output or str(configured.output)
    batch(config, inputs, output, overrides=overrides, redis=redis, debug=debug)


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """While numpy and OpenCV are imported, whose BLAS starts threads: a process that has threads cannot be forked."""
    given = _BLAS_THREADS in os.environ
    os.environ.setdefault(_BLAS_THREADS, "1")
    try:
        yield
    finally:
        if not given:
            del os.environ[_BLAS_THREADS]


def _supervise(read: Callable[[], Config], metrics_port: int | None) -> tuple[Plan, dict[str, Any]]:
    with _one_blas_thread():
        configuration = _checked(read)
        # What this process and the workers' parent both need is loaded once, before the one is forked from the other.
        from pipeline.config import make_plan
        from pipeline.config.live import LiveConfig
        from pipeline.runtime.nursery import Nursery
        from pipeline.runtime.nursery_process import open_files
        from pipeline.runtime.supervisor import Supervisor

        opened = open_files()
        plan = make_plan(configuration)
        forkable = open_files() == opened  # what a plug-in has opened would be closed in a fork
    with Nursery.for_plan(plan, fork=forkable) as nursery, page_of(configuration):
        make_output_directory(plan.output)
        from raftline.cli.progress import progress_of  # while the workers' parent loads what it needs

        with shown_status(progress_of(plan), metrics_port) as on_status:
            live = LiveConfig(configuration, read)
            return plan, Supervisor(plan, nursery=nursery, on_status=on_status, live=live).run()


def _checked(read: Callable[[], Config]) -> Config:
    """The configuration, whose inputs are checked before anything slow is imported."""
    from pipeline.config import check_inputs

    configuration = read()
    check_inputs(configuration)
    return configuration


@contextlib.contextmanager
def page_of(configuration: Config, fleet: tuple[str, str] | None = None) -> Iterator[None]:
    """Serve the page of a run meanwhile, if the configuration says where. `fleet` as `page_beside` has it."""
    if configuration.web.listen is None:
        yield
        return
    from raftline.web.beside_run import page_beside

    with page_beside(configuration.name, configuration.web, fleet) as address:
        print(f"the page: {address}", file=sys.stderr, flush=True)
        yield


def _in_process(configuration: Config, metrics_port: int | None) -> tuple[Plan, dict[str, Any]]:
    from pipeline.config import make_plan
    from pipeline.runtime.foreground import run_in_foreground
    from raftline.cli.progress import Lines

    plan = make_plan(configuration)
    make_output_directory(plan.output)
    with shown_status(Lines(plan), metrics_port) as on_status:  # bars would write over a debugger's prompt
        return plan, run_in_foreground(plan, on_status)


@contextlib.contextmanager
def shown_status(
    shown: RunProgress, metrics_port: int | None, more: Collection[Collector] = ()
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Where to tell a run's status: it is shown, and served over HTTP, with `more` metrics, if there is a port."""
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(shown)
        if metrics_port is not None:
            from pipeline.runtime.http_status import serve_status

            watch = stack.enter_context(serve_status(metrics_port, more=more))

        def on_status(status: dict[str, Any]) -> None:
            progress.update(status)
            if metrics_port is not None:
                watch.tell(status)

        yield on_status


def outcome(summary: dict[str, Any]) -> int:
    """The exit code of a run that came to its end; says what went wrong in it."""
    for name, source in summary["sources"].items():
        if source["state"] == "failed":
            error = source["error"] or "failed"
            shown = "" if source["input"] in error else f" ({source['input']})"
            say_error(f"source {name}{shown}: {error}")
    letters = summary.get("dead_letters", [])
    for letter in letters:
        say_error(f"stage {letter['stage']}, source {letter['source']}: a message was given up: {letter['error']}")
    if summary["state"] == "failed" or letters:
        return USER_MISTAKE
    stopped_file = any(source["state"] == "stopped" and not source["live"] for source in summary["sources"].values())
    return INTERRUPTED if stopped_file else 0
