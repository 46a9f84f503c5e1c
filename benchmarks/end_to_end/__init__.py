"""What a user waits for and pays: whole commands, with their start and end, beside what peers take."""
