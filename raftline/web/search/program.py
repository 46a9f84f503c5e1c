"""The process that looks: clips as JSON on standard input, what it finds as lines of JSON on standard output.

Who started it may kill it at any time.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NICE = 10
"""Above that of who started it. Chosen by hand: the pipeline comes first, and something is left on a busy machine."""
_TELL_SECONDS = 0.5
"""Between two words on the progress. Chosen by hand."""


def look(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is to be said, in order; `raftline.web.search.task` has the fields."""
    from av.error import FFmpegError

    from raftline.web.search.motion_in_file import motion_in_file

    clips, found, done_seconds = asked["clips"], 0, 0.0
    begun, told_at = time.monotonic(), 0.0
    whole = sum(clip["seconds"] for clip in clips) or 1.0
    for number, clip in enumerate(clips):
        try:
            for seconds, sight in motion_in_file(Path(clip["path"]), asked["area"]):
                if sight is not None:
                    found += 1
                    yield _found(clip, sight)
                if time.monotonic() - told_at > _TELL_SECONDS:
                    told_at = time.monotonic()
                    share = min(1.0, (done_seconds + min(seconds, clip["seconds"])) / whole)
                    yield _progress(number, len(clips), share, told_at - begun)
        except (FFmpegError, IndexError, OSError) as error:
            yield {"type": "skipped", "recording": clip["name"], "why": str(error)}
        done_seconds += clip["seconds"]
    yield {"type": "done", "found": found, "clips": len(clips)}


def _progress(clip: int, clips: int, share: float, seconds: float) -> dict[str, Any]:
    left = None if share <= 0 else round(seconds / share - seconds, 1)
    return {"type": "progress", "clip": clip + 1, "clips": clips, "share": round(share, 4), "seconds_left": left}


def _found(clip: dict[str, Any], sight: Any) -> dict[str, Any]:
    begin = clip["at"] - clip["begin_seconds"]
    return {
        "type": "found",
        "recording": clip["name"],
        "at": begin + sight.begin_seconds,
        "until": begin + sight.end_seconds,
        "begin_seconds": sight.begin_seconds,
        "peak_area": round(sight.peak_area, 5),
        "picture": base64.b64encode(sight.picture).decode(),
    }


def main() -> None:
    """Until all is said, or nobody listens any more."""
    asked = json.load(sys.stdin)
    os.nice(_NICE)
    for said in look(asked):
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
