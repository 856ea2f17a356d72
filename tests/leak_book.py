"""The secrets that a run of the tests has minted, and the search for them in what qstage says and stores.

A secret is known by its value and its kind. Each kind has the few places where it must be shown: the answer that
mints it, the redirect that carries it. Anywhere else it is a leak. Findings never hold the secret itself.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

GRAM = 20
"""Characters that a secret has at least; what is shorter is a test's own word for one."""
DIVERSE = 8
"""Different characters that it has at least: ``"x" * 43`` is no secret."""

_RUN = re.compile(rf"[A-Za-z0-9_~.-]{{{GRAM},}}")


class Kind(StrEnum):
    TOKEN = "Globus token"
    CLIENT = "client secret"
    CODE = "authorization code"
    STATE = "state"
    NONCE = "nonce"
    VERIFIER = "PKCE verifier"
    COOKIE = "cookie"
    DEVICE = "device code"
    KEY = "API key or agent's token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a text was met: a log, an item, the head or the body of an answer to ``method path``."""

    what: str
    method: str = ""
    path: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.method, self.path) if part)


def _at(what: str, *calls: tuple[str, str]) -> Callable[[Place], bool]:
    return lambda place: place.what == what and (place.method, place.path) in calls


_LOGINS = (("GET", "/login"), ("GET", "/callback"))
_SHOWN: dict[Kind, Callable[[Place], bool]] = {
    Kind.STATE: _at("answer's Location", *_LOGINS),
    Kind.NONCE: _at("answer's Location", *_LOGINS),
    Kind.COOKIE: _at("answer's Set-Cookie", *_LOGINS, ("POST", "/logout")),
    Kind.DEVICE: _at("answer's body", ("POST", "/v1/device")),
    Kind.KEY: _at("answer's body", ("POST", "/v1/device/token"), ("POST", "/v1/keys"), ("POST", "/v1/sites")),
}
"""The places of each kind. A kind that is not here is shown nowhere."""


@dataclass(slots=True)
class Book:
    """What is known, what was looked at, and what was found."""

    known: dict[str, dict[str, Kind]] = field(default_factory=dict, repr=False)
    """By the first characters: the secrets that begin so."""
    looked_at: Counter[str] = field(default_factory=Counter)
    """Characters by what they were part of."""
    findings: list[str] = field(default_factory=list)
    where: str = ""
    """What goes on now; a test's name."""

    def learn(self, kind: Kind, value: str | None) -> None:
        if value is not None and len(value) >= GRAM and len(set(value)) >= DIVERSE:
            self.known.setdefault(value[:GRAM], {})[value] = kind

    def secrets(self) -> int:
        return sum(map(len, self.known.values()))

    def look(self, place: Place, text: str) -> None:
        """Find what must not be in a text."""
        self.looked_at[place.what] += len(text)
        for kind, value in set(self._found(text)):
            if not _SHOWN.get(kind, lambda _: False)(place):
                name = hashlib.sha256(value.encode()).hexdigest()[:8]
                self.findings.append(f"{kind} ({name}) in {place}, during {self.where or 'no test'}")

    def _found(self, text: str) -> Iterator[tuple[Kind, str]]:
        for run in _RUN.finditer(text):
            word = run[0]
            for start in range(len(word) - GRAM + 1):
                for value, kind in self.known.get(word[start : start + GRAM], {}).items():
                    if word.startswith(value, start):
                        yield kind, value
