"""The application: the page's files, and its API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from pipeline.errors import UserError
from pipeline.redaction import redact
from raftline.web.access.guard import Guard
from raftline.web.access.rights import LOOK, Access
from raftline.web.api import events, fleet, recordings, session, sources, state, zones
from raftline.web.event_files import EventFiles
from raftline.web.live import live_router, settled
from raftline.web.run_file import RunFile
from raftline.web.search.task import Searches
from raftline.web.sources_file import SourcesFile
from raftline.web.watched_fleet import WatchedFleet
from raftline.web.watched_run import WatchedRun
from raftline.web.zones_file import ZonesFile

STATIC = Path(__file__).resolve().parent / "static"


def make_app(run: WatchedRun, access: Access, watched_fleet: WatchedFleet | None = None) -> FastAPI:
    """The application without its guard; `guarded` puts that in front.

    Args:
        run: What the page shows.
        access: Who may come in.
        watched_fleet: The fleet that the run's host belongs to.
    """
    app = FastAPI(title="raftline", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.run, app.state.access, app.state.stopping = run, access, asyncio.Event()
    app.state.fleet = watched_fleet
    app.state.event_files, app.state.run_file = EventFiles(run), RunFile(run)
    app.state.zones_file, app.state.sources_file = ZonesFile(app.state.run_file), SourcesFile(app.state.run_file)
    app.add_exception_handler(UserError, _in_words)
    app.add_exception_handler(RequestValidationError, _what_is_wrong)
    app.state.searches = Searches()
    shown = (
        *(state.router, events.router, recordings.router, zones.router, sources.router),
        *(fleet.router, live_router()),
    )
    for router in (session.public, session.router, *shown):
        app.router.routes.extend(router.routes)  # flat, so that a test finds what each endpoint needs

    @app.get("/api/openapi.json", dependencies=[LOOK], include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    for path, name in (("/", "index.html"), ("/api/docs", "api.html")):
        app.get(path, include_in_schema=False)(_page(STATIC / name))
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def guarded(app: FastAPI, hosts: Callable[[], frozenset[str]]) -> Guard:
    """The application as it is served."""
    return Guard(app, hosts)


def _page(file: Path) -> Callable[[], FileResponse]:
    def page() -> FileResponse:
        return FileResponse(file, headers={"cache-control": "no-cache"})

    return page


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.stopping.set()
    await settled()
    app.state.run.close()
    if app.state.fleet is not None:
        app.state.fleet.close()


async def _in_words(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"detail": redact(error)}, status_code=409)


async def _what_is_wrong(request: Request, error: Any) -> JSONResponse:
    """Without the values, which may be passwords."""
    found = [{"loc": list(each["loc"]), "msg": _said(each)} for each in error.errors()]
    return JSONResponse({"detail": found}, status_code=422)


def _said(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{error['loc'][-1]}: {message}" if error["loc"] else message
