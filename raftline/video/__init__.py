"""Flow, stabilization and motion of a whole video, from Python.

The functions run the stages of the shipped configurations in this process, without Redis and without workers, with the
results of ``raftline run``. A video is a file, a folder of images, a camera's URL, or frames that the program has.

Errors are those of `pipeline.errors`: an `InputError` for a video that cannot be read, a `ConfigError` for an option
out of its range, a `WeightsError` for weights. What a generator of frames raises comes out as it is.
"""

from raftline.own_packages import join

join()

from raftline.video.api import Motion, flow, motion, stabilize  # noqa: E402  # after `join`, as it imports the machine
from raftline.video.job import Progress, Video  # noqa: E402
from raftline.video.steps import Event, FlowStep, MotionStep, StabilizedVideo  # noqa: E402

__all__ = ["Event", "FlowStep", "Motion", "MotionStep", "Progress", "StabilizedVideo", "Video"]
__all__ += ["flow", "motion", "stabilize"]
