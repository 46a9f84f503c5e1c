"""Flow of a stream of frames: sessions, warm starts, region matching, variational refinement, DIS, files and color."""
