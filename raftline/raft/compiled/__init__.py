"""The network as graphs that OpenVINO compiles for the CPU: another runtime behind the same `Raft`."""
