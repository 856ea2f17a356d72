"""What a ring says: whose desk wants a look, and nothing else."""

from __future__ import annotations

import json

from chalicelib.core.ids import UserId


def write_ring(user: UserId) -> str:
    """The body of a message."""
    return json.dumps({"user": user})


def read_ring(body: str) -> UserId:
    """The user that a message's body names.

    :raises ValueError: if it is not a ring of ours; it goes to the dead letters, and an alarm.
    """
    found = json.loads(body)
    user = found.get("user") if isinstance(found, dict) else None
    if not isinstance(user, str) or not user:
        raise ValueError("the message is not a ring: it names no user")
    return UserId(user)
