"""The stage `video_writer` and its parts."""

from stages.video_writer.stage import VideoWriter

__all__ = ["VideoWriter"]
