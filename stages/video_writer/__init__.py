"""The stage `video_writer` and its parts."""

from stages.video_writer.stage import VideoWriter
from stages.video_writer.video_part import VideoPart

__all__ = ["VideoPart", "VideoWriter"]
