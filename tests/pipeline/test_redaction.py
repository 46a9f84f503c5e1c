"""What is hidden, and what is not."""

from __future__ import annotations

import pytest

from pipeline.redaction import is_secret_name, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://user:pw@host:554/a", "rtsp://user:***@host:554/a"),
        ("redis://:pw@host/0", "redis://:***@host/0"),
        ("rtsp://user:p@ss@host/a", "rtsp://user:***@host/a"),
        ("rtsp://user:p/ss@host/a", "rtsp://user:***@host/a"),
        ("rtsp://host/a", "rtsp://host/a"),
        ("rtsp://host:554/a@2x", "rtsp://host:554/a@2x"),
        ("http://host/clips/a@b:c", "http://host/clips/a@b:c"),
        ("rtsp://[::1]:554/a@2x", "rtsp://[::1]:554/a@2x"),
        ("rtsp://user@host/a", "rtsp://user@host/a"),
        ("http://h/a?x=1&token=abc&b=2", "http://h/a?x=1&token=***&b=2"),
        ("http://h/a?access_token=abc#frag", "http://h/a?access_token=***#frag"),
        ("http://h/a?X-Amz-Signature=abc", "http://h/a?X-Amz-Signature=***"),
        ("http://h/a?keyframe=1", "http://h/a?keyframe=1"),
        ("cannot open 'rtsp://u:p@h/a' and http://u:q@h", "cannot open 'rtsp://u:***@h/a' and http://u:***@h"),
        ("/plain/path.mp4", "/plain/path.mp4"),
        ("C:\\clips\\a.mp4", "C:\\clips\\a.mp4"),
        ("", ""),
    ],
)
def test_passwords_and_tokens_are_hidden_and_the_rest_is_kept(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(redact(text)) == expected


@pytest.mark.parametrize("name", ["password", "redis_password", "apiKey", "API-KEY", "auth.token"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["keyframe", "passes", "author", "path", "monkey"])
def test_names_that_only_sound_so_are_not(name: str) -> None:
    assert not is_secret_name(name)
