"""Identifiers: derived ones (the same in every run) and random ones (secrets, codes, tokens)."""

from __future__ import annotations

import secrets
import string
import uuid

_NAMESPACE = uuid.UUID("5f2ff7a2-6a0e-5b0c-9b61-0c6bd0a8e4f1")
_LETTERS = string.ascii_letters + string.digits


def derived(kind: str, name: str) -> str:
    """The id of a thing by its name, so that a configuration without ids is the same at every start."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{name}"))


def random_id() -> str:
    return str(uuid.uuid4())


def is_uuid(text: object) -> bool:
    try:
        uuid.UUID(str(text))
    except ValueError:
        return False
    return True


def opaque(length: int = 48) -> str:
    """A secret with no meaning: a token, a code, a cookie."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def request_id() -> str:
    """Nine letters, as Transfer names a request."""
    return opaque(9)
