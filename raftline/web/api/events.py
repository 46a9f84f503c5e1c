"""Events: listed, as a timeline, and one by one with image, clip and label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import FileResponse

from raftline.event_database import Event, EventDatabase, Filter
from raftline.web.access.rights import CHANGE, LOOK
from raftline.web.access.users import User
from raftline.web.event_files import EventFiles
from raftline.web.event_filter import Wanted
from raftline.web.event_models import Bars, BarShown, ClipFacts, EventFacts, EventPage, EventShown, LabelGiven
from raftline.web.models import Done

_MOST = 200
_MOST_PARTS = 1000
_KEEP = {"cache-control": "private, max-age=3600"}

router = APIRouter(prefix="/api", tags=["events"])


def _files(request: Request) -> EventFiles:
    return request.app.state.event_files


Files = Annotated[EventFiles, Depends(_files)]


@router.get("/events", dependencies=[LOOK])
def list_events(
    files: Files,
    wanted: Wanted,
    most: Annotated[int, Query(ge=1, le=_MOST)] = 60,
    after: Annotated[str | None, Query(description="`next` of the page before", pattern=r"^[0-9.e+-]+_\d+$")] = None,
) -> EventPage:
    """Events, the newest first."""
    before = None if after is None else (float(after.partition("_")[0]), int(after.partition("_")[2]))
    with files.database() as database:
        if database is None:
            return EventPage(events=[], next=None)
        files.link_clips(database)
        found = database.find(wanted, most, before)
    more = f"{found[-1].at!r}_{found[-1].number}" if len(found) == most else None
    return EventPage(events=[EventShown.of(event) for event in found], next=more)


@router.get("/events/bars", dependencies=[LOOK])
def get_bars(
    files: Files,
    wanted: Wanted,
    begin: float,
    end: float,
    parts: Annotated[int, Query(ge=1, le=_MOST_PARTS)] = 144,
) -> Bars:
    """The timeline from `begin` to `end`."""
    seconds = (end - begin) / parts
    if not seconds > 0:
        raise HTTPException(422, f"found begin {begin:g} and end {end:g}; the end must be later")
    with files.database() as database:
        found = [] if database is None else database.bars(wanted, begin, seconds)
    return Bars(begin=begin, seconds=seconds, bars=[BarShown(**vars(bar)) for bar in found])


@router.get("/events/facts")
def get_facts(files: Files, user: User = LOOK) -> EventFacts:
    """What one may filter by."""
    with files.database() as database:
        if database is None:
            return EventFacts(sources=[], zones=[], first=None, last=None)
        sources = [name for name in database.sources() if user.sees(name)]
        first, last = database.span(sources) or (None, None)
        return EventFacts(sources=sources, zones=database.zones(sources), first=first, last=last)


def _found(files: Files, source: str, number: int) -> Iterator[tuple[EventDatabase, Event]]:
    with files.database() as database:
        event = None if database is None else database.get(number)
        if database is None or event is None or event.source != source:
            raise HTTPException(404, "there is no such event; it may have been deleted")
        yield database, event


Found = Annotated[tuple[EventDatabase, Event], Depends(_found)]
_ONE = "/sources/{source}/events/{number}"


@router.get(_ONE, dependencies=[LOOK])
def get_event(found: Found) -> EventShown:
    """One event."""
    return EventShown.of(found[1])


@router.get(_ONE + "/thumbnail", dependencies=[LOOK], response_class=FileResponse)
def get_thumbnail(files: Files, found: Found) -> FileResponse:
    """Its image, a JPEG."""
    return FileResponse(_there(files.file(found[0], found[1].thumbnail)), media_type="image/jpeg", headers=_KEEP)


@router.get(_ONE + "/clip", dependencies=[LOOK])
def get_clip_facts(files: Files, found: Found) -> ClipFacts:
    """Whether there is a clip, and where in it the event begins."""
    database, event = found
    clip = files.file(database, event.clip)
    begins = 0.0 if clip is None else files.begins_seconds(clip, event)
    return ClipFacts(there=clip is not None, begins_seconds=begins)


@router.get(_ONE + "/clip.mp4", dependencies=[LOOK], response_class=FileResponse)
def get_clip(files: Files, found: Found, download: bool = False) -> FileResponse:
    """Its clip, an MP4; with `download` to be saved."""
    clip = _there(files.file(found[0], found[1].clip))
    return FileResponse(
        clip,
        media_type="video/mp4",
        filename=clip.name,
        content_disposition_type="attachment" if download else "inline",
    )


@router.put(_ONE + "/label", dependencies=[CHANGE])
def put_label(found: Found, given: LabelGiven) -> Done:
    """Say what it was: kept with what was measured, to tune by."""
    found[0].label(found[1].number, given.label)
    return Done()


@router.delete(_ONE, dependencies=[CHANGE])
def delete_event(files: Files, found: Found) -> Done:
    """Delete an event with its image, and its clip if no other event is in it."""
    database, event = found
    thumbnail, clip = files.file(database, event.thumbnail), files.file(database, event.clip)
    alone = event.clip is not None and database.count(Filter([event.source], clip=event.clip)) == 1
    if not database.delete(event.number):
        raise HTTPException(409, "the event still goes on; delete it when it has ended")
    for file in (thumbnail, clip if alone else None):
        if file is not None:
            file.unlink(missing_ok=True)
    if clip is not None and alone:
        clip.with_suffix(".json").unlink(missing_ok=True)
    return Done(remark="" if clip is None or alone else "its clip stays, because it shows another event, too")


def _there(file: Path | None) -> Path:
    if file is None:
        raise HTTPException(404, "there is no such file; it may have been deleted to make room")
    return file
