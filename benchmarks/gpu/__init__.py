"""What only a GPU can show: the parts of `benchmarks.gpu_check`, each a program of its own."""
