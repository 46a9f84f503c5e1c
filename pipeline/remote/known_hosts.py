"""Which SFTP servers are trusted: those whose key the user's known hosts hold, as `ssh` does."""

from __future__ import annotations

import os
from typing import Any

import paramiko


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Refuses a server that ``~/.ssh/known_hosts`` does not have."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        known = paramiko.HostKeys()
        file = os.path.expanduser("~/.ssh/known_hosts")
        if os.path.exists(file):
            known.load(file)
        if not known.check(hostname, key):
            raise paramiko.SSHException(f"Server {hostname!r} not found in known_hosts {file}")
