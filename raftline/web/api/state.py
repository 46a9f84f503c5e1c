"""How the run goes: once, and as a stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from raftline.web.access.rights import LOOK
from raftline.web.access.users import User
from raftline.web.batch_file import BatchFileState, batches
from raftline.web.models import BatchState, RunState
from raftline.web.watched_run import WatchedRun, as_json

_EVERY_SECONDS = 1.0
_REMIND_SECONDS = 15.0
"""What has not changed is sent again after so long: a proxy takes a silent connection for a dead one."""

router = APIRouter(prefix="/api", tags=["state"])


@router.get("/state")
def get_state(request: Request, user: User = LOOK) -> RunState:
    """The run, its sources and its stages."""
    return seen_by(user, request.app.state.run.state())


@router.get("/batches")
def get_batches(request: Request, user: User = LOOK) -> list[BatchState]:
    """Batches (`raftline batch`) whose results the page shows, and their progress."""
    output = request.app.state.run.output
    return [_batch_seen_by(user, each) for each in ([] if output is None else batches(output))]


def _batch_seen_by(user: User, state: BatchFileState) -> BatchState:
    running = {name: share for name, share in state.running.items() if user.sees(name)}
    values = {name: getattr(state, name) for name in BatchState.model_fields}
    return BatchState(**{**values, "running": running})


@router.get("/state/stream", response_class=StreamingResponse)
async def stream_state(request: Request, user: User = LOOK) -> StreamingResponse:
    """The same as server-sent events: one named `state` now, and whenever it has changed."""
    run: WatchedRun = request.app.state.run
    return StreamingResponse(_events(request, run, user), media_type="text/event-stream")


async def _events(request: Request, run: WatchedRun, user: User) -> AsyncIterator[str]:
    last, silent = "", 0.0
    while not request.app.state.stopping.is_set() and not await request.is_disconnected():
        text = as_json(seen_by(user, await run_in_threadpool(run.state)))
        if text != last or silent >= _REMIND_SECONDS:
            last, silent = text, 0.0
            yield f"event: state\ndata: {text}\n\n"
        silent += _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)


def seen_by(user: User, state: RunState) -> RunState:
    """The state with the sources that a user sees, alone."""
    return state.model_copy(update={"sources": [source for source in state.sources if user.sees(source.name)]})
