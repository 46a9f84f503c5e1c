"""What `benchmarks.bench_stabilization` measures with: clips of known camera paths, peers, scores."""
