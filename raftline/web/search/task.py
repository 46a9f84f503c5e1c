"""Looks through recordings for whoever asks: one search at a time, and only as long as somebody listens."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pipeline.errors import ConfigError
from raftline.camera.zones import Polygon
from raftline.web.live.feed import in_background
from raftline.web.search.recordings import Recording

_PROGRAM = (sys.executable, "-m", "raftline.web.search.program")
_MOST_LINE_BYTES = 1 << 20
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Searches:
    """Use from one event loop."""

    def __init__(self) -> None:
        self.busy = False
        """Whether one goes on."""

    async def search(self, clips: Sequence[Recording], area: Polygon) -> AsyncGenerator[str, None]:
        """Lines of JSON as they come; closing it ends the search.

        Each has a `type`: ``progress`` (clip, clips, share, seconds_left), ``found`` (recording, at, until,
        begin_seconds in the clip, peak_area, picture: JPEG in base64), ``skipped`` (recording, why: it cannot be read),
        ``done`` (found, clips) or ``failed``.

        Raises:
            ConfigError: Another search goes on.
        """
        if self.busy:
            raise ConfigError("another search goes on; wait until it is done, or cancel it")
        self.busy = True
        program = None
        try:
            program = await asyncio.create_subprocess_exec(
                *_PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_MOST_LINE_BYTES,
                env={**os.environ, **_ONE_THREAD},
            )
            assert program.stdin is not None and program.stdout is not None
            program.stdin.write(_asked(clips, area))
            program.stdin.close()
            yield _line(type="progress", clip=min(1, len(clips)), clips=len(clips), share=0.0, seconds_left=None)
            async for line in program.stdout:
                yield line.decode()
            if await program.wait():
                yield _line(type="failed")
        finally:
            in_background(self._end(program))  # who is cancelled cannot wait

    async def _end(self, program: asyncio.subprocess.Process | None) -> None:
        if program is not None:
            if program.returncode is None:
                program.kill()
            await program.wait()
        self.busy = False


def _line(**said: Any) -> str:
    return json.dumps(said) + "\n"


def _asked(clips: Sequence[Recording], area: Polygon) -> bytes:
    told = [{**vars(clip), "path": str(clip.path), "name": clip.name} for clip in clips]
    return json.dumps({"clips": told, "area": [list(corner) for corner in area]}).encode()
