"""Who may see and change what: addresses, users, sessions, rights, and the guard in front of every request."""
