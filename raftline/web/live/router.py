"""The live view's endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import APIRouter, HTTPException, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from pipeline.errors import TransportError
from pipeline.redaction import redact
from raftline.web.access.rights import LOOK
from raftline.web.live.feed import in_background
from raftline.web.live.feeds import CAMERA, COMPARE, FRAMES, LiveFeeds, NothingToSee, viewing
from raftline.web.live.overlays import KINDS
from raftline.web.live.viewer import Viewer

_BOUNDARY = "raftline-frame"
_NO_VIEW = 4404
"""Close code: try again later. From 4000 on, codes are an application's own (RFC 6455, section 7.4.2)."""
_MOST_FPS = 30.0
_FIRST_FRAME_SECONDS = 10.0
"""How long a still picture is waited for."""


class Views(BaseModel):
    """What there is to see of a source."""

    views: list[str]
    """``camera``, ``frames``, stages that write pictures, and ``compare:`` and one that stabilizes."""
    overlays: list[str]
    """What can be drawn over the camera's picture."""


def live_router() -> APIRouter:
    """Endpoints under ``/api/live``. The application's state has the `run` that is watched."""
    router = APIRouter(prefix="/api/live", tags=["live"])

    @router.get("/{source}", dependencies=[LOOK])
    async def get_views(request: Request, source: str) -> Views:
        """What there is to see of a source now."""
        with _as_http():
            streams = await _feeds(request).views(source)
        masks, flow = ["mask", "boxes", "camera", "path"], ["flow", "colors"]
        compared = [] if streams.stabilized is None else [COMPARE + streams.stabilized]
        return Views(
            views=[CAMERA, FRAMES, *streams.pictures[1:], *compared],
            overlays=[*(masks if streams.masks else ()), *(flow if streams.flow else ())],
        )

    @router.get("/{source}/mjpeg", response_class=StreamingResponse, dependencies=[LOOK])
    async def get_mjpeg(
        request: Request, source: str, view: str = FRAMES, fps: float = Query(5.0, gt=0, le=_MOST_FPS)
    ) -> StreamingResponse:
        """JPEGs as they come (multipart/x-mixed-replace), for Home Assistant and browsers."""
        parts = _parts(_feeds(request), source, view, fps)
        with _as_http():
            first = await anext(parts)

        async def all_parts() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(parts):
                yield first
                async for part in parts:
                    yield part

        return StreamingResponse(all_parts(), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    @router.get("/{source}/jpeg", response_class=Response, dependencies=[LOOK])
    async def get_jpeg(request: Request, source: str, view: str = FRAMES) -> Response:
        """The next picture."""
        with _as_http():
            async with contextlib.aclosing(_jpegs(_feeds(request), source, view, _MOST_FPS)) as pictures:
                picture = await asyncio.wait_for(anext(pictures), _FIRST_FRAME_SECONDS)
        return Response(picture, media_type="image/jpeg")

    @router.websocket("/{source}/video", dependencies=[LOOK])
    async def watch(websocket: WebSocket, source: str, view: str = CAMERA, overlays: str = "") -> None:
        """Video in fragments, and what is drawn over it; ``docs/web.md`` describes the messages."""
        await websocket.accept()
        try:
            async with _feeds(websocket).watch(source, view) as shared, viewing(shared) as viewer:
                drawn = KINDS if view in (CAMERA, FRAMES) else frozenset()  # others have moved the picture
                viewer.overlays = drawn & set(overlays.split(","))
                await _serve(websocket, shared, viewer, drawn)
        except (NothingToSee, TransportError) as error:
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close(_NO_VIEW, redact(error)[:100])
        except WebSocketDisconnect:
            pass

    return router


def _feeds(connection: Request | WebSocket) -> LiveFeeds:
    state = connection.app.state
    if not hasattr(state, "live_feeds"):
        state.live_feeds = LiveFeeds(state.run)
    return state.live_feeds


@contextlib.contextmanager
def _as_http() -> Any:
    try:
        yield
    except NothingToSee as error:
        raise HTTPException(404, str(error)) from None
    except (TimeoutError, StopAsyncIteration):
        raise HTTPException(504, "no picture came; does the camera send any?") from None


async def _jpegs(feeds: LiveFeeds, source: str, view: str, fps: float) -> AsyncGenerator[bytes, None]:
    async with feeds.watch(source, view, fps) as shared, viewing(shared) as viewer:
        while (item := await viewer.next()) is not None:
            if isinstance(item.data, bytes):
                yield item.data


async def _parts(feeds: LiveFeeds, source: str, view: str, fps: float) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(_jpegs(feeds, source, view, fps)) as pictures:
        async for data in pictures:
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            yield head.encode() + data + b"\r\n"


async def _serve(websocket: WebSocket, shared: Any, viewer: Viewer, drawn: frozenset[str]) -> None:
    """Send what the viewer gets and do what it asks for, until one side ends."""
    await shared.pump.want()
    work = (_send(websocket, viewer), _listen(websocket, shared, viewer, drawn))
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        shared.feed.viewers.discard(viewer)
        in_background(shared.pump.want())


async def _send(websocket: WebSocket, viewer: Viewer) -> None:
    while (item := await viewer.next()) is not None:
        if isinstance(item.data, str):
            await websocket.send_text(item.data)
        else:
            await websocket.send_bytes(item.data)
    raise NothingToSee("the run has ended")


async def _listen(websocket: WebSocket, shared: Any, viewer: Viewer, drawn: frozenset[str]) -> None:
    """Messages of the browser: ``{"overlays": [...]}`` and ``{"paused": true}``."""
    while True:
        try:
            asked = json.loads(await websocket.receive_text())
        except ValueError:
            continue
        if not isinstance(asked, dict):
            continue
        if "overlays" in asked and isinstance(asked["overlays"], list):
            viewer.overlays = drawn & {each for each in asked["overlays"] if isinstance(each, str)}
            await shared.pump.want()
        if asked.get("paused") is True:
            viewer.pause()
        elif asked.get("paused") is False:
            shared.feed.restart(viewer)
