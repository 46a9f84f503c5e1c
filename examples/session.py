"""Flow of a stream of frames: python session.py video.mp4"""

import sys

import cv2
import numpy as np

import raftline

session = raftline.FlowSession()
capture = cv2.VideoCapture(sys.argv[1])
while True:
    there_is_one, frame = capture.read()
    if not there_is_one:
        break
    result = session(np.ascontiguousarray(frame[:, :, ::-1]))  # OpenCV gives BGR
    if result is not None:
        motion_px = np.linalg.norm(result.flow_px, axis=2).mean()
        print(f"motion {motion_px:.2f} px, start {result.start}, {result.iterations} updates")
