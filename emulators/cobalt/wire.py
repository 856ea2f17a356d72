"""A command's end of the wire: one line of JSON to the daemon, one back.

``address`` in the state directory says where its socket is. What the words mean is ``desk``'s to say.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any


class AbsentError(Exception):
    """Nobody answers."""


def ask(state: str, question: Mapping[str, Any], patience: float = 60.0) -> dict[str, Any]:
    """Send a question to the simulator of this state directory and return its answer. Raises AbsentError."""
    try:
        with open(os.path.join(state, "address")) as file:
            address = file.read()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(patience)
            link.connect(address)
            with link.makefile("rwb") as stream:
                stream.write(json.dumps(question).encode() + b"\n")
                stream.flush()
                line = stream.readline()
    except OSError as fault:
        raise AbsentError(str(fault)) from None
    if not line:
        raise AbsentError("the connection was closed")
    answer: dict[str, Any] = json.loads(line)
    return answer
