"""Cameras of a run that goes on: added, changed, removed."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.errors import ConfigError
from pipeline.runtime import source_changes
from pipeline.runtime.run_status import ActiveRun
from raftline.web.access.rights import CHANGE, LOOK
from raftline.web.access.users import User
from raftline.web.models import Done, FileFacts
from raftline.web.sources_file import SourcesFile
from raftline.web.watched_run import WatchedRun

_CAMERA = re.compile(r"rtsps?://[^\s/?#][^\s]*|/dev/video\d{1,3}")

_HEAT = ".heat.png"
"""Where the stage `heat_map` writes, unless it is told otherwise."""

router = APIRouter(prefix="/api", tags=["sources"])


def _is_a_camera(address: str) -> str:
    if not _CAMERA.fullmatch(address):
        raise ValueError("allowed are cameras: rtsp://user:password@host/path, rtsps://..., or /dev/video0")
    return address


Address = Annotated[str, AfterValidator(_is_a_camera)]


class CameraGiven(BaseModel):
    """A camera to watch. Files are given to `raftline run`: no request names one."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=100)
    input: Address = Field(max_length=1000, description="rtsp://user:password@host/path, or /dev/video0")
    keep: bool = Field(True, description="in the configuration of the run, for the next one")


class CameraChanged(BaseModel):
    """Another address of a camera."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    input: Address = Field(max_length=1000)
    keep: bool = Field(True, description="in the configuration of the run, for the next one")


def _run(request: Request) -> ActiveRun:
    if request.app.state.fleet is not None:
        raise ConfigError(
            "a fleet's cameras are changed for all its hosts: raftline source add, change or remove, with --control"
        )
    watched: WatchedRun = request.app.state.run
    run = watched.reachable()
    if run is None:
        raise ConfigError("no run goes on; start it with raftline run")
    return run


def _file(request: Request) -> SourcesFile:
    return request.app.state.sources_file


@router.get("/configuration", dependencies=[LOOK])
def get_configuration(request: Request) -> FileFacts:
    """Whether the configuration of the run can be changed here."""
    try:
        return FileFacts(name=request.app.state.run_file.path().name, why_not="")
    except ConfigError as error:
        return FileFacts(name=None, why_not=str(error))


@router.post("/sources")
def add_source(request: Request, given: CameraGiven, user: User = CHANGE) -> Done:
    """Watch another camera. The answer comes when the run has taken it, and it was kept."""
    if user.cameras is not None:
        raise HTTPException(403, "you see some cameras alone, so you cannot add others")
    # Left as they stand, since ${VAR} could read any variable of the run's environment.
    done = source_changes.add(_run(request), given.input, name=given.name, filled_in=True)
    return _file(request).put(given.name, given.input, done) if given.keep else Done(remark=done)


@router.get("/sources/{source}/heat", dependencies=[LOOK], response_class=FileResponse)
def get_heat_map(request: Request, source: str) -> FileResponse:
    """Where something moves in it, and for what share of the time: the image of the stage `heat_map`."""
    run: WatchedRun = request.app.state.run
    known = {each.name for each in run.state().sources}  # no name from a request becomes a path
    path = None if run.output is None or source not in known else run.output / f"{source}{_HEAT}"
    if path is None or not path.is_file():
        raise HTTPException(404, "there is no heat map yet; the stage heat_map writes one every minute")
    return FileResponse(path, media_type="image/png")


@router.put("/sources/{source}", dependencies=[CHANGE])
def change_source(request: Request, source: str, given: CameraChanged) -> Done:
    """Give a camera another address. It alone is connected anew."""
    done = source_changes.change(_run(request), source, input=given.input, filled_in=True)
    return _file(request).put(source, given.input, done) if given.keep else Done(remark=done)


@router.delete("/sources/{source}", dependencies=[CHANGE])
def remove_source(request: Request, source: str, keep: bool = True) -> Done:
    """Watch a camera no longer, with `keep` in later runs neither. Its files stay."""
    done = source_changes.remove(_run(request), source)
    return _file(request).remove(source, done) if keep else Done(remark=done)
