"""Posts motion events to a web address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, field_validator

from pipeline.errors import ConfigError
from pipeline.redaction import redact
from stages.shared.event_alerts import Alert, EventAlerts
from stages.shared.outbox import NotTaken, Refused

_FINAL = frozenset((400, 405, 410, 413, 414, 415, 422))
"""Answers that say that this letter will never be taken. Others, such as 401 or 404, end when somebody mends the
receiver."""


class Webhook(EventAlerts):
    """Posts each motion event as JSON, when it begins and when it ends.

    The body is ``{"type": "motion.begin" | "motion.end", "timestamp": ..., "data": {...}}``; ``data`` holds the keys of
    the event log's line, and ``thumbnail_jpeg`` (base64) with the option `thumbnail`. Requests follow the Standard
    Webhooks specification (standardwebhooks.com): ``webhook-id`` is the same for repeats, and with a `secret`
    ``webhook-signature`` proves who sent it. An answer of 2xx takes the event; while there is none, it is kept on disk
    and tried again.
    """

    class Options(EventAlerts.Options):
        url: str = Field(..., description="http:// or https:// address to post to")
        secret: str | None = Field(
            None, description="key of the signature, at least 16 characters; whsec_... is base64; null: unsigned"
        )
        headers: dict[str, str] = Field({}, description="further headers, such as {Authorization: Bearer ...}")
        timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest wait for an answer, s")
        thumbnail: bool = Field(False, description="send the event's thumbnail, if the event log writes them")

        @field_validator("url")
        @classmethod
        def _is_http(cls, url: str) -> str:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"must begin with http:// or https://, found {redact(url)!r}")
            return url

        @field_validator("secret")
        @classmethod
        def _is_long(cls, secret: str | None) -> str | None:
            if secret is not None and len(_key(secret)) < 16:
                raise ValueError("is too short to sign with; at least 16 characters are needed")
            return secret

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return ("httpx",)

    def open(self) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ConfigError("webhook needs the package httpx: pip install 'raftline[events]'") from error
        self._httpx = httpx
        self._client = httpx.Client(timeout=self.options.timeout_seconds, headers=self.options.headers)
        super().open()

    def deliver(self, alert: Alert) -> None:
        body = self._body(alert)
        try:
            answer = self._client.post(self.options.url, content=body, headers=self._headers(alert.key, body))
        except (self._httpx.HTTPError, self._httpx.InvalidURL, OSError) as error:
            raise NotTaken(f"{redact(self.options.url)}: {error or type(error).__name__}") from error
        if answer.is_success:
            return
        said = f"{redact(self.options.url)}: answered {answer.status_code} {answer.reason_phrase}"
        raise (Refused if answer.status_code in _FINAL else NotTaken)(said)

    def close(self) -> None:
        super().close()
        if client := getattr(self, "_client", None):
            client.close()

    def _body(self, alert: Alert) -> bytes:
        event = dict(alert.event)
        if self.options.thumbnail and alert.thumbnail is not None and alert.thumbnail.exists():
            event["thumbnail_jpeg"] = base64.b64encode(alert.thumbnail.read_bytes()).decode("ascii")
        when = event.get("end_time" if alert.state == "end" else "begin_time")
        return json.dumps({"type": f"motion.{alert.state}", "timestamp": when, "data": event}).encode()

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        seconds = str(int(time.time()))
        headers = {"content-type": "application/json", "webhook-id": key, "webhook-timestamp": seconds}
        if self.options.secret is not None:
            signed = hmac.digest(_key(self.options.secret), f"{key}.{seconds}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = "v1," + base64.b64encode(signed).decode("ascii")
        return headers


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise ValueError("begins with whsec_, but what follows is no base64") from error
