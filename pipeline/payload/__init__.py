"""Where the arrays of messages are stored: in shared memory, or inside the stream entry."""
