"""Sources of a run that is under way: see them, add, change and remove them. For the command line and the page.

A request is an entry of a list in Redis. The supervisor takes it, checks it as it checks a configuration, and answers
under a key of its own. A request that holds a password does not pass through Redis: it lies in the run's directory,
which its user alone can enter. From another machine such an input has to name a variable of the run's environment:
``rtsp://me:${CAM_PASSWORD}@host/stream``.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import ConfigError, TransportError
from pipeline.redaction import HIDDEN, is_secret_name, redact
from pipeline.runtime.run_status import ActiveRun, told
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

ANSWER_SECONDS = 20.0
"""How long a run may take to answer: it looks twice a second, and may wait some seconds for Redis. Chosen by hand."""
_KEPT_SECONDS = 60
"""A request that nobody took, and an answer that nobody read, are gone after this. Chosen by hand."""
_POLL_SECONDS = 0.05
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

Action = Literal["add", "change", "remove"]


@dataclass(frozen=True)
class CurrentSource:
    """A source of a run, as its supervisor told last."""

    name: str
    input: str
    """Without its password."""
    policy: str
    """``live`` or ``lossless``."""
    state: str
    """``running``, ``leaving`` (it was removed, and its stages still finish), ``finished``, ``stopped``, ``failed``."""
    trouble: str
    """Why there are no frames, and when it is tried next; empty where all is well."""
    frames: int
    """Decoded so far."""


@dataclass(frozen=True)
class Request:
    """What somebody asks of a run."""

    id: str
    action: Action
    name: str | None
    """None: the source is named after its input."""
    section: Mapping[str, Any]
    """``input`` and ``options``, as under `sources` in a configuration; for a change, what changes."""
    filled_in: bool
    """Whether ``${VAR}`` was filled in already; else that is done from the environment of the run."""


def add(
    run: ActiveRun,
    input: str,
    *,
    name: str | None = None,
    use: str | None = None,
    options: Mapping[str, Any] | None = None,
    filled_in: bool = False,
) -> str:
    """Add a source to a run. Returns when the run has taken it, not when its first frame comes.

    Args:
        run: The run; `pipeline.runtime.run_status.active_runs` finds those of this machine.
        input: Path, URL or device. ``${VAR}`` is filled in from the environment of the run.
        name: Name of the source; None: after the input, as with ``raftline run -i``.
        use: A Source other than the one under `stages`.
        options: Options of the Source; those under `stages` hold for the rest.
        filled_in: Leave ``${VAR}`` as it stands.

    Returns:
        A sentence that says what was done, with the name of the source.

    Raises:
        ConfigError: If the run refuses it; the message says what was wrong. Nothing has changed.
        TransportError: If the run does not answer.
    """
    section = {"input": input, "options": dict(options or {}), **({} if use is None else {"use": use})}
    return _ask(run, "add", name, section, filled_in)


def change(
    run: ActiveRun,
    name: str,
    *,
    input: str | None = None,
    options: Mapping[str, Any] | None = None,
    filled_in: bool = False,
) -> str:
    """Change a source of a run: it alone is restarted, and its stages see a Gap. Arguments, result, errors as `add`.

    Args:
        run: The run.
        name: Name of the source.
        input: The new input; None: it keeps its own.
        options: Laid over the options that it has; a value of None leaves the option to what `stages` says.
        filled_in: Leave ``${VAR}`` as it stands.
    """
    section = {"options": dict(options or {}), **({} if input is None else {"input": input})}
    return _ask(run, "change", name, section, filled_in)


def remove(run: ActiveRun, name: str) -> str:
    """Remove a source from a run: its stream ends, its stages finish their files. Result and errors as `add`."""
    return _ask(run, "remove", name, {}, True)


def current(run: ActiveRun) -> list[CurrentSource]:
    """The sources of a run, in the order in which they came. Raises `TransportError` where the run tells nothing."""
    status = run.status()
    if status is None:
        raise TransportError(f"no run named {run.name!r} is active on Redis at {redact(run.redis_url)}")
    return [_current(name, source) for name, source in status["sources"].items()]


def _current(name: str, source: Mapping[str, Any]) -> CurrentSource:
    said = next((stage["status"] for stage in source["stages"].values() if stage["status"].get("trouble")), {})
    trouble = f"{said['trouble']}; next try at {said.get('next_try', '?')}" if said else source["error"] or ""
    frames = source["frames_decoded"]
    return CurrentSource(name, source["input"], source["policy"], source["state"], trouble, frames)


def _ask(run: ActiveRun, action: Action, name: str | None, section: dict[str, Any], filled_in: bool) -> str:
    request = Request(uuid.uuid4().hex, action, name, section, filled_in)
    with contextlib.closing(RedisStreams(run.redis_url, run.name)) as transport:
        if told(transport) is None:
            raise TransportError(
                f"no run named {run.name!r} is active on Redis at {redact(run.redis_url)}; "
                "`raftline status` shows those of this machine"
            )
        file = _send(transport, request, run.directory)
        try:
            return _answer(transport, request.id)
        finally:
            if file is not None:
                file.unlink(missing_ok=True)


@translate_redis_errors
def _send(transport: RedisStreams, request: Request, directory: Path | None) -> Path | None:
    """Leave a request for the supervisor. Returns the file that holds its secrets, if there are any."""
    section, file = dict(request.section), None
    if _has_secret(section):
        if directory is None:
            raise ConfigError(
                "the input or an option holds a password, which would lie in Redis for others to read; write "
                "${VARIABLE} in its place and set that variable where the run was started, or ask on that machine, "
                "without --redis"
            )
        file = private_file(directory, request.id)
        file.touch(mode=0o600)
        file.write_text(json.dumps(section))
        section = {}
    entry = {"id": request.id, "action": request.action, "name": request.name, "filled_in": request.filled_in}
    key = transport.keys.requests
    with transport.client.pipeline() as batch:
        batch.rpush(key, json.dumps({**entry, "section": None if file else section}))
        batch.expire(key, _KEPT_SECONDS)
        batch.execute()
    return file


@translate_redis_errors
def _answer(transport: RedisStreams, id: str) -> str:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        text = transport.client.lpop(transport.keys.answer(id))
        if text is not None:
            answer = json.loads(text)
            if answer["accepted"]:
                return str(answer["text"])
            raise ConfigError(answer["text"])
        time.sleep(_POLL_SECONDS)
    raise TransportError(
        f"the run did not answer within {ANSWER_SECONDS:g} s; it may be busy, or take no changes (`raftline batch`). "
        "`raftline status` shows whether it works"
    )


def private_file(directory: Path, id: str) -> Path:
    """Where the secret part of a request lies, in the run's directory."""
    return directory / f"request-{id}.json"


@translate_redis_errors
def take(transport: RedisStreams, directory: Path) -> Request | None:
    """The next request to a run; None if there is none, or what was there is no request. For its supervisor."""
    text = transport.client.lpop(transport.keys.requests)
    if text is None:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        entry = json.loads(text)
        id = uuid.UUID(hex=entry["id"]).hex
        secret = private_file(directory, id)
        section = entry["section"] if entry["section"] is not None else json.loads(secret.read_text())
        if entry["action"] in ("add", "change", "remove") and isinstance(section, dict):
            return Request(id, entry["action"], entry["name"], section, bool(entry["filled_in"]))
    return None


@translate_redis_errors
def answer(transport: RedisStreams, request: Request, accepted: bool, text: str) -> None:
    """Tell whoever made a request what became of it. For the supervisor."""
    key = transport.keys.answer(request.id)
    with transport.client.pipeline() as batch:
        batch.rpush(key, json.dumps({"accepted": accepted, "text": redact(text)}))
        batch.expire(key, _KEPT_SECONDS)
        batch.execute()


def _has_secret(node: Any, name: str = "") -> bool:
    """Whether there is a password anywhere in a section. A variable that is to be filled in is none."""
    if isinstance(node, Mapping):
        return any(_has_secret(value, str(key)) for key, value in node.items())
    if isinstance(node, list):
        return any(_has_secret(value, name) for value in node)
    if not isinstance(node, str):
        return False
    if is_secret_name(name):
        return bool(_VARIABLE.sub("", node))
    shown = _VARIABLE.sub(HIDDEN, node)
    return redact(shown) != shown
