"""From what the packages of the stores raise to errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import ConfigError, InputError, OutputError, RaftlineError, UserError
from pipeline.input_paths import scheme_of
from pipeline.redaction import redact
from pipeline.remote.urls import PACKAGES

_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine",
    "s3a": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of this machine",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or log in by `gcloud auth application-default login`",
    "gcs": "set GOOGLE_APPLICATION_CREDENTIALS, or log in by `gcloud auth application-default login`",
    "az": "set FSSPEC_AZ_ACCOUNT_NAME and FSSPEC_AZ_ACCOUNT_KEY",
    "abfs": "set FSSPEC_ABFS_ACCOUNT_NAME and FSSPEC_ABFS_ACCOUNT_KEY",
    "sftp": "give them as sftp://USER:${PASSWORD}@HOST/PATH, or have the user's key in ~/.ssh or the agent",
    "ssh": "give them as ssh://USER:${PASSWORD}@HOST/PATH, or have the user's key in ~/.ssh or the agent",
}
_NO_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "DefaultCredentialsError",
    "AuthenticationException",
    "BadAuthenticationType",
    "PasswordRequiredException",
)
_STRANGE_HOST = ("BadHostKeyException",)
_OURS_ALONE = (AssertionError, AttributeError, KeyError, IndexError, NameError, TypeError)
"""Faults of a program, which no store raises on purpose."""


def is_lasting(error: BaseException) -> bool:
    """Whether trying again cannot help: rights, credentials, what is not there, a package that is missing."""
    return isinstance(error, (ImportError, FileNotFoundError, PermissionError, RaftlineError, *_OURS_ALONE)) or (
        type(error).__name__ in (*_NO_CREDENTIALS, *_STRANGE_HOST)
    )


@contextmanager
def told(url: str, kind: type[InputError] | type[OutputError]) -> Iterator[None]:
    """What a store raises becomes an error of this kind that names `url`, or `ConfigError` for a missing package."""
    try:
        yield
    except (RaftlineError, FileExistsError, *_OURS_ALONE):
        raise
    except Exception as error:
        raise in_words(error, url, kind) from error


def in_words(error: Exception, url: str, kind: type[InputError] | type[OutputError]) -> UserError:
    """The error for the user."""
    shown, scheme, reading = redact(url), scheme_of(url) or "", kind is InputError
    said = redact(" ".join(str(error).split())) or type(error).__name__
    name = type(error).__name__
    if isinstance(error, ImportError):
        return ConfigError(f"{shown}: {scheme}:// needs a package that is not there: pip install {PACKAGES[scheme]}")
    if name in _NO_CREDENTIALS:
        return kind(f"{shown}: no credentials that the store takes ({said}); {_CREDENTIALS[scheme]}")
    if name in _STRANGE_HOST or "known_hosts" in said:
        return kind(
            f"{shown}: the server's key is not the one in ~/.ssh/known_hosts, or none is there ({said}); connect once "
            "by `sftp HOST`, and check the key that it shows"
        )
    if isinstance(error, FileNotFoundError):
        what = "no such file, folder or bucket" if reading else "no such bucket or server folder"
        return kind(f"{shown}: {what} ({said}); check the URL" + ("" if reading else ", or create the bucket"))
    if isinstance(error, PermissionError):
        right = "read and list" if reading else "write"
        return kind(f"{shown}: access is denied ({said}); give these credentials the right to {right} there")
    return kind(
        f"{shown}: the store cannot be {'read' if reading else 'written'} ({name}: {said}); check address and network"
    )
