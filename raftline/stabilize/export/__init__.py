"""A measured camera path as files of other tools: Gyroflow's .gcsv, vid.stab's .trf, plain JSON."""
