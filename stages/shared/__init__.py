"""What several stages share that concerns files and frames. Knows messages and errors, and no stage."""
