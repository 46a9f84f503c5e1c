"""The application: the page's files, and its API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from pipeline.errors import UserError
from pipeline.redaction import redact
from raftline.web.access.guard import Guard
from raftline.web.access.rights import LOOK, Access
from raftline.web.api import session, state
from raftline.web.live import live_router
from raftline.web.watched_run import WatchedRun

STATIC = Path(__file__).resolve().parent / "static"


def make_app(run: WatchedRun, access: Access) -> FastAPI:
    """The application without its guard; `guarded` puts that in front.

    Args:
        run: What the page shows.
        access: Who may come in.
    """
    app = FastAPI(title="raftline", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    app.state.run, app.state.access, app.state.stopping = run, access, asyncio.Event()
    app.add_exception_handler(UserError, _in_words)
    for router in (session.public, session.router, state.router, live_router()):
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
    app.state.run.close()


async def _in_words(request: Request, error: Any) -> JSONResponse:
    return JSONResponse({"detail": redact(error)}, status_code=409)
