"""What the recorder left of a camera: how much there is, its clips, and motion that is looked for in them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from raftline.web.access.rights import LOOK
from raftline.web.event_filter import polygon
from raftline.web.search.recordings import Recording, recordings
from raftline.web.search.task import Searches
from raftline.web.watched_run import WatchedRun

router = APIRouter(prefix="/api/sources/{source}/recordings", tags=["recordings"])

Begin = Annotated[float | None, Query(description="those that end later, s since 1970")]
End = Annotated[float | None, Query(description="those that begin before")]


class RecordingFacts(BaseModel):
    """How much was recorded."""

    clips: int
    seconds: float
    first: float | None = Field(description="begin of the first, s since 1970")
    last: float | None = Field(description="end of the last")


@router.get("", dependencies=[LOOK])
def get_recordings(request: Request, source: str, begin: Begin = None, end: End = None) -> RecordingFacts:
    """How much there is to look through."""
    found = _recordings(request, source, begin, end)
    if not found:
        return RecordingFacts(clips=0, seconds=0.0, first=None, last=None)
    last = max(each.at + each.seconds for each in found)
    return RecordingFacts(clips=len(found), seconds=sum(e.seconds for e in found), first=found[-1].at, last=last)


@router.get("/motion", dependencies=[LOOK], response_class=StreamingResponse)
async def search_motion(
    request: Request,
    source: str,
    area: Annotated[str, Query(max_length=10_000, description="polygon [[x, y], ...] in shares of the frame, 0-1")],
    begin: Begin = None,
    end: End = None,
) -> StreamingResponse:
    """Motion in an area of the picture, looked for in the clips themselves, the newest first.

    Lines of JSON, as they come: `progress`, `found`, `skipped`, `done`. Closing the connection ends the search; there
    is one at a time.
    """
    lines = _searches(request).search(_recordings(request, source, begin, end), polygon(area))
    first = await anext(lines, "")

    async def all_lines() -> AsyncIterator[str]:
        async with contextlib.aclosing(lines):
            yield first
            async for line in lines:
                yield line

    return StreamingResponse(all_lines(), media_type="application/x-ndjson")


@router.get("/{recording}", dependencies=[LOOK], response_class=FileResponse)
def get_recording(request: Request, source: str, recording: str) -> FileResponse:
    """A clip, an MP4, by its name."""
    for each in _recordings(request, source, None, None):  # no name from a request becomes a path
        if each.name in (recording, recording.replace(".growing.mp4", ".mp4")):
            return FileResponse(each.path, media_type="video/mp4")
    raise HTTPException(404, "there is no such recording; it may have been deleted to make room")


def _recordings(request: Request, source: str, begin: float | None, end: float | None) -> list[Recording]:
    run: WatchedRun = request.app.state.run
    return [] if run.output is None else recordings(run.output, source, begin, end)


def _searches(request: Request) -> Searches:
    return request.app.state.searches
