"""Hide passwords and tokens in URLs.

Pass every text through here that may contain a URL and goes to a log, a metric, a stream, a summary or the screen.
"""

from __future__ import annotations

import logging
import os
import re

HIDDEN = "***"

SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "loginpas",
    "pass",
    "pwd",
    "pw",
    "token",
    "secret",
    "key",
    "apikey",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "sig",
    "signature",
    "session",
)
"""Values of query parameters and options with one of these words in their name are hidden. Words are separated by
``_``, ``-``, ``.`` or a capital letter."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s<>\"'`]+)")
_PORT_THEN_PATH = re.compile(r"\d{1,5}(?:[/?#]|$)")
_PARAMETER = re.compile(r"(?P<lead>[?&;])(?P<name>[^=&;?#]+)=(?P<value>[^&;#]*)")


def redact(text: object) -> str:
    """Replace the password and secret query values of every URL in `text` by ``***``.

    Errs on the safe side: a password with an unescaped ``@`` or ``/`` is hidden completely.
    """
    return _URL.sub(_redact_url, str(text))


def is_secret_name(name: str) -> bool:
    """Whether an option or query parameter with this name holds a secret."""
    words = re.split(r"[_.\-]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return any(word in SECRET_WORDS for word in words)


def _redact_url(match: re.Match[str]) -> str:
    rest = match["rest"]
    user_info, at, after = rest.rpartition("@")
    if at:
        user, colon, secret = user_info.partition(":")
        is_address = user.startswith("[") or "/" in user or _PORT_THEN_PATH.match(secret)
        if colon and not is_address:
            rest = f"{user}:{HIDDEN}@{after}"
    return match["scheme"] + _PARAMETER.sub(_redact_parameter, rest)


def _redact_parameter(match: re.Match[str]) -> str:
    value = HIDDEN if is_secret_name(match["name"]) else match["value"]
    return f"{match['lead']}{match['name']}={value}"


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def log_redacted() -> None:
    """Log to stderr without secrets, at the level named by ``RAFTLINE_LOG`` (WARNING by default)."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=os.environ.get("RAFTLINE_LOG", "WARNING"), handlers=[handler])
