"""The live view: a camera's video as it sent it, with what is drawn over it beside it."""

from raftline.web.live.feed import settled
from raftline.web.live.router import live_router

__all__ = ["live_router", "settled"]
