"""Dense optical flow of video with RAFT, and what follows from it: stabilization, motion masks."""
