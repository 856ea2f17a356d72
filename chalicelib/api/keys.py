"""API keys: list, make, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.api.bodies import idempotency_key, json_of
from chalicelib.api.guard import anyone_of, caller_of
from chalicelib.api.problems import answers
from chalicelib.api.rooms import rooms
from chalicelib.core.keys import ADMIN, JOBS, LONGEST_DAYS, REACH, READ, USUAL_LIFE, KeyRecord
from chalicelib.core.shape import Choice, Field, Integer, ListOf, Record, Text

routes = Blueprint(__name__)

ASK = Record(
    fields={
        "name": Field(shape=Text(longest=64, shortest=1, pattern=r"[ -~]+", says="must be printable ASCII")),
        "scopes": Field(shape=ListOf(item=Choice(words=tuple(REACH)), shortest=1, longest=3), default=(JOBS,)),
        "days": Field(shape=Integer(least=1, most=LONGEST_DAYS), default=USUAL_LIFE.days),
    },
    describe="A key to make.",
)


@routes.route("/v1/keys", methods=["GET"])
@answers
def keys() -> Response:
    """The caller's keys, without their secrets."""
    caller = caller_of(routes.current_request, READ)
    return _fresh({"keys": [shown_key(record) for record in rooms().keys.list(caller)]})


@routes.route("/v1/keys", methods=["POST"])
@answers
def make() -> Response:
    """Make a key; it is shown in this answer and never again."""
    from chalicelib.service.keys import KeyAsk

    request = routes.current_request
    caller = caller_of(request, ADMIN)
    asked = json_of(request, ASK)
    ask = KeyAsk(name=asked["name"], scopes=tuple(asked["scopes"]), days=asked["days"])
    minted = rooms().keys.create(caller, ask, rooms().clock.now(), idempotency_key(request))
    shown = shown_key(minted.record)
    if minted.key is None:
        return _fresh(shown, status=201, replayed=True)
    return _fresh({"key": minted.key.reveal(), **shown}, status=201)


@routes.route("/v1/keys/{key_id}", methods=["DELETE"])
@answers
def revoke(key_id: str) -> Response:
    """End a key at once."""
    rooms().keys.revoke(anyone_of(routes.current_request), key_id)
    return Response("", status_code=204)


def when(moment: datetime) -> str:
    """A moment as the API writes it: ISO 8601, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_key(record: KeyRecord) -> dict[str, Any]:
    """A key as the API shows it."""
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "scopes": sorted(record.scopes),
        "created_at": when(record.created_at),
        "expires_at": when(record.expires_at),
        "last_used_at": when(record.last_used_at) if record.last_used_at else None,
    }


def _fresh(document: dict[str, Any], *, status: int = 200, replayed: bool = False) -> Response:
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(document, headers=headers, status_code=status)
