"""The page of a run as a process of its own, started and stopped with the run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.config.schema import WebSection
from raftline.web.serving import CONTROL, Serving

_LAST_SECONDS = 5.0
"""How long the page may take to end before it is killed. Chosen by hand: more than its open answers may go on."""


@contextlib.contextmanager
def page_beside(name: str, web: WebSection, fleet: tuple[str, str] | None = None) -> Iterator[str | None]:
    """Serve the page of the run with this name, if `web` says where. Gives its address.

    The socket is bound here: that another program has the port is known before anything else begins. The page finds the
    run by its run directory, so no password stands on its command line.

    Args:
        name: Of the run.
        web: Where it is served, and for whom.
        fleet: The fleet of its host: URL of the control Redis, and its name.

    Raises:
        ConfigError: If it may not or cannot be served there.
    """
    if web.listen is None:
        yield None
        return
    serving = Serving.checked(web.listen, web.users, web.allow_hosts)
    with serving.address.bound() as listening:
        control = {} if fleet is None else {CONTROL: fleet[0]}
        page = subprocess.Popen(
            [*_command(name, web, listening.fileno()), *([] if fleet is None else ["--fleet", fleet[1]])],
            env={**os.environ, **control},
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C ends the run, and the run ends the page
        )
        try:
            host, port = listening.getsockname()[:2]
            yield f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        finally:
            _end(page)


def _command(name: str, web: WebSection, fd: int) -> list[str]:
    users = [] if web.users is None else ["--users", str(Path(web.users).absolute())]
    hosts = [part for host in web.allow_hosts for part in ("--allow-host", host)]
    given = ["--listen", str(web.listen), "--listening-fd", str(fd), *users, *hosts]
    return [sys.executable, "-m", "raftline", "web", name, *given]


def _end(page: subprocess.Popen[bytes]) -> None:
    page.terminate()
    try:
        page.wait(_LAST_SECONDS)
    except subprocess.TimeoutExpired:
        page.kill()
        page.wait()
    if page.stdin is not None:
        page.stdin.close()
