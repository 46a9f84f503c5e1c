"""The machine: messages, transports, payloads, workers and the supervisor. It knows no stage."""
