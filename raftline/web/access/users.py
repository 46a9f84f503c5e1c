"""Users of the page: what they may see and do, and their passwords as scrypt hashes."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.explain import explain
from pipeline.config.yaml_file import read_configuration
from pipeline.errors import ConfigError

_COST, _BLOCK, _PARALLEL = 2**15, 8, 1
"""scrypt's N, r and p: 32 MB and some 0.1 s for each try. N and r as RFC 7914 and OWASP's cheat sheet name them."""
_MOST_MEMORY_BYTES = 128 * _COST * _BLOCK * 2
_SALT_BYTES, _HASH_BYTES = 16, 32
_LEAST_TOKEN = 16
"""Characters of a token. Chosen by hand: 16 random ones cannot be guessed."""
_one_at_a_time = threading.Lock()
"""Each try takes 32 MB: strangers must not take all memory."""

May = Literal["look", "change"]


@dataclass(frozen=True)
class User:
    """Somebody who has shown who they are."""

    name: str
    may: May = "look"
    """``change``: also zones, cameras, labels and files."""
    cameras: frozenset[str] | None = None
    """Names of the sources that they see; None: all."""

    def sees(self, source: str) -> bool:
        """Whether a source is theirs to see."""
        return self.cameras is None or source in self.cameras


EVERYBODY = User("everybody", "change")
"""Who comes over loopback, where neither token nor users are set."""


def hashed(password: str, salt: bytes | None = None) -> str:
    """``scrypt$N$r$p$SALT$HASH`` of a password."""
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    with _one_at_a_time:
        value = hashlib.scrypt(
            password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MOST_MEMORY_BYTES, dklen=_HASH_BYTES
        )
    return "$".join(("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), _text(salt), _text(value)))


@functools.lru_cache(maxsize=1)
def _nobody() -> str:
    return hashed("")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")


def _matches(password: str, stored: str) -> bool:
    salt = stored.split("$")[4]
    return hmac.compare_digest(hashed(password, base64.b64decode(salt + "=" * (-len(salt) % 4))), stored)


def _check_hash(stored: str) -> str:
    head = f"scrypt${_COST}${_BLOCK}${_PARALLEL}$"
    if not stored.startswith(head) or stored.count("$") != 5:
        raise ValueError(f"{head}SALT$HASH, which `raftline web --add-user NAME` writes")
    return stored


class _UserSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    password: Annotated[str, AfterValidator(_check_hash)] = Field(description="hash of the password, by scrypt")
    may: May = Field("look", description="look: see; change: also zones, cameras, labels and files")
    cameras: list[str] | None = Field(None, description="names of the sources they see; null: all")


class _UsersFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    users: dict[str, _UserSection] = Field(min_length=1, description="users by name")


class Users:
    """Those of a file, and the token if there is one."""

    def __init__(self, users: dict[str, tuple[User, str]], token: str | None) -> None:
        self._users, self._token = users, token

    @classmethod
    def read(cls, file: Path | None, token: str | None) -> Users | None:
        """Of a users file and a token; None where there is neither. Raises `ConfigError`."""
        if token is not None and len(token) < _LEAST_TOKEN:
            raise ConfigError(
                f"the page's token: found {len(token)} characters; allowed: {_LEAST_TOKEN} or more; make one with "
                "python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if file is None:
            return None if token is None else cls({}, token)
        try:
            sections = _UsersFile.model_validate(read_configuration(file)).users
        except ValidationError as error:
            raise ConfigError(explain(error, _UsersFile, (), lambda _: str(file))) from None
        users = {
            name: (User(name, s.may, None if s.cameras is None else frozenset(s.cameras)), s.password)
            for name, s in sections.items()
        }
        return cls(users, token)

    def by_password(self, name: str, password: str) -> User | None:
        """The user with this name and password. Takes some 0.1 s."""
        user, stored = self._users.get(name, (None, _nobody()))  # a wrong name takes as long as a wrong password
        return user if _matches(password, stored) else None

    def by_token(self, token: str) -> User | None:
        """Who has the token may do everything."""
        fits = self._token is not None and hmac.compare_digest(token.encode(), self._token.encode())
        return User("token", "change") if fits else None

    @property
    def asks_for(self) -> Literal["password", "token"]:
        """What the log-in asks for."""
        return "password" if self._users else "token"


def added_user(file: Path, name: str, password: str, may: May, cameras: list[str] | None) -> None:
    """Add a user to a users file, or change one; its comments stay. Raises `ConfigError`."""
    from ruamel.yaml import YAML

    from raftline.web.yaml_edit import edited

    if not name or not password:
        raise ConfigError("--add-user: found no name or no password; give both")

    def add(document: dict) -> None:
        section = {"password": hashed(password), "may": may}
        document.setdefault("users", {})[name] = {**section, **({"cameras": cameras} if cameras else {})}

    if not file.exists():
        file.touch(mode=0o600)
        with open(file, "w", encoding="utf-8") as begun:
            YAML().dump({"users": {}}, begun)
    edited(file, add, lambda text: None)
