"""The two ways in which `stages.stabilization` works: with the whole clip known, and with a look ahead."""
