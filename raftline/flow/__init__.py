"""Flow of a stream of frames: sessions, starts, refinement, DIS, files and color."""
