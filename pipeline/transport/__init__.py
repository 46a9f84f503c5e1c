"""How messages travel between processes: Redis Streams, and a twin within one process."""
