"""The control API: ``POST /_emulator/<switch>`` with the arguments of the method of that name as a JSON object.

Served only where it was asked for. Only JSON is taken, so that no web page can throw a switch with a form.
"""

from __future__ import annotations

import dataclasses
import inspect

from werkzeug.wrappers import Request, Response

from emulators.globus.control import ControlError, Controls
from emulators.globus.errors import TransferRefusal
from emulators.globus.replies import json_reply
from emulators.globus.world import World

_SWITCHES = frozenset(
    name
    for name, _ in inspect.getmembers(Controls, inspect.isfunction)
    if not name.startswith("_") and name not in ("requests", "overview")
)


def overview(world: World, request: Request) -> Response:
    return json_reply({**Controls(world).overview(), "switches": sorted(_SWITCHES)})


def requests_seen(world: World, request: Request) -> Response:
    return json_reply({"requests": [dataclasses.asdict(each) for each in Controls(world).requests()]})


def act(world: World, request: Request, verb: str) -> Response:
    """Throw one switch; answers ``{"result": …}``, or 400 with what is wrong."""
    arguments = request.get_json(silent=True) if request.mimetype == "application/json" else None
    if not isinstance(arguments, dict):
        raise TransferRefusal(400, "BadRequest", "Send the arguments as a JSON object")
    if verb not in _SWITCHES:
        raise TransferRefusal(404, "NotFound", f"No switch '{verb}'; there are {', '.join(sorted(_SWITCHES))}")
    switch = getattr(Controls(world), verb)
    try:
        bound = inspect.signature(switch).bind(**arguments)
        return json_reply({"result": switch(*bound.args, **bound.kwargs)})
    except (TypeError, ControlError, ValueError, StopIteration) as error:
        raise TransferRefusal(400, "BadRequest", f"{verb}: {error}") from error
