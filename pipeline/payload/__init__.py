"""Where the arrays of messages lie: in shared memory, or inside the stream entry."""
