"""What ``/api`` answers about a run. Nothing in it is secret: inputs come as they are shown to people."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from pipeline.runtime.run_status import SourceState


class StageState(BaseModel):
    """One stage at work on one source."""

    name: str
    frames: int = Field(description="messages processed")
    fps: float | None = Field(description="messages per second, lately")
    dropped: int
    latency_ms: float | None = Field(description="median, from a frame's arrival to the end of this stage")
    latency_p99_ms: float | None
    restarts: int
    says: dict[str, str] = Field(description="what the stage says of itself")


class SourceStatus(BaseModel):
    """A camera or a file of the run."""

    name: str
    input: str = Field(description="address, without a password")
    live: bool = Field(description="a camera, whose late frames are dropped")
    state: SourceState
    since: str | None = Field(description="when it came into this state, ISO 8601, if known")
    why: str = Field(description="what is wrong with it; empty: nothing")
    next_try: str | None = Field(description="when a lost camera is tried again, ISO 8601")
    frames: int
    frames_expected: int | None = Field(description="of a file")
    seconds_left: float | None = Field(description="of a file, at the present rate")
    fps: float | None
    dropped: int
    latency_ms: float | None = Field(description="median of the slowest path through all stages")
    restarts: int
    stages: list[StageState]


class WorkerState(BaseModel):
    """The processes of one stage."""

    stage: str
    processes: int | None
    threads: int | None
    cpu_percent: float | None = Field(description="of one core, lately")


class RunState(BaseModel):
    """The run that the page shows."""

    name: str | None
    state: Literal["running", "silent", "ended", "none"] = Field(
        description="silent: it has said nothing for 15 s; none: no such run was found"
    )
    started: str | None = None
    seconds: float = 0.0
    silent_seconds: float = 0.0
    cores: int | None = None
    error: str | None = None
    sources: list[SourceStatus] = []
    workers: list[WorkerState] = []


class BatchState(BaseModel):
    """A batch that writes into the directory of the results, or one machine's part of it."""

    name: str
    goes_on: bool
    files: int = Field(description="to process, without those that were finished before")
    done: int
    failed: int
    seconds_left: float | None = Field(description="at the rate so far")
    running: dict[str, float | None] = Field(description="share of each file under way, 0-1, if known")


class SessionState(BaseModel):
    """Who looks at the page, and what they may do."""

    logged_in: bool
    asks_for: Literal["password", "token", "nothing"]
    user: str | None = None
    may_change: bool = False
    fleet: bool = Field(default=False, description="the run's host belongs to a fleet")


class LogIn(BaseModel):
    """A try to log in."""

    name: str = Field("", max_length=200)
    password: str = Field(max_length=1000, description="or the token")


class Done(BaseModel):
    """It is done."""

    done: bool = True
    remark: str = ""
    warning: str = Field(default="", description="what is not as it was asked for; empty: nothing")


class FileFacts(BaseModel):
    """The configuration of the run."""

    name: str | None = Field(description="of its file; None: it is not on this machine")
    why_not: str = Field(description="why it cannot be changed here; empty: it can")
