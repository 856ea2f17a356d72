"""Pause rules over HTTP: the owner of a collection makes and lifts them; a user sees those that hold for them."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus.access import caller
from emulators.globus.admin_responses import administers, denied, own_place
from emulators.globus.errors import Document, TransferRefusal, bad_request
from emulators.globus.pauses import FLAGS, PauseRule, document
from emulators.globus.replies import json_reply
from emulators.globus.submission_responses import body_of
from emulators.globus.submissions import flag, text
from emulators.globus.task_responses import result
from emulators.globus.times import parse as parse_time
from emulators.globus.times import stamp
from emulators.globus.world import World


def _rule_document(world: World, rule: PauseRule, *, limited: bool = False) -> Document:
    name = world.collection(rule.collection).display_name
    return document(rule, name, limited=limited, when=stamp(rule.start_time))


def rule_list(world: World, request: Request) -> Response:
    with world.lock:
        who = caller(world, request)
        wanted = request.args.get("filter_endpoint")
        rules = [
            rule
            for rule in world.pauses.rules.values()
            if administers(world, who, rule.collection) and wanted in (None, rule.collection)
        ]
        return json_reply({"DATA_TYPE": "pause_rule_list", "DATA": [_rule_document(world, rule) for rule in rules]})


def effective_rules(world: World, request: Request, collection_id: str) -> Response:
    """The rules that hold for the caller on a collection."""
    with world.lock:
        who = caller(world, request)
        world.place(collection_id)
        rules = [
            rule
            for rule in world.pauses.rules.values()
            if rule.collection == collection_id and rule.identity in (None, who.owner)
        ]
        found = [_rule_document(world, rule, limited=True) for rule in rules]
        return json_reply({"DATA_TYPE": "pause_rule_limited_list", "DATA": found})


def create_rule(world: World, request: Request) -> Response:
    body = body_of(request, "pause_rule")
    with world.lock:
        who = caller(world, request)
        place = own_place(world, who, text(body, "endpoint_id"))
        rule = PauseRule(
            collection=place.collection.id,
            message=text(body, "message"),
            start_time=world.now() if body.get("start_time") is None else _time(text(body, "start_time")),
            identity=None if body.get("identity_id") is None else text(body, "identity_id"),
            flags=frozenset(name for name in FLAGS if flag(body, name, default=True)),
        )
        world.pauses.rules[rule.id] = rule
        world.engine.notify()
        return json_reply(_rule_document(world, rule), 201)


def _time(raw: str) -> float:
    try:
        return parse_time(raw)
    except ValueError as error:
        raise bad_request("Invalid start_time") from error


def _own_rule(world: World, request: Request, rule_id: str) -> PauseRule:
    who, rule = caller(world, request), world.pauses.rules.get(rule_id)
    if rule is None:
        raise TransferRefusal(404, "ClientError.NotFound", "No such pause rule")
    if not administers(world, who, rule.collection):
        raise denied()
    return rule


def get_rule(world: World, request: Request, rule_id: str) -> Response:
    with world.lock:
        return json_reply(_rule_document(world, _own_rule(world, request, rule_id)))


def update_rule(world: World, request: Request, rule_id: str) -> Response:
    body = body_of(request)
    with world.lock:
        rule = _own_rule(world, request, rule_id)
        changed = PauseRule(
            id=rule.id,
            collection=rule.collection,
            message=text(body, "message") if "message" in body else rule.message,
            start_time=_time(text(body, "start_time")) if body.get("start_time") else rule.start_time,
            identity=rule.identity,
            flags=frozenset(name for name in FLAGS if flag(body, name, default=name in rule.flags)),
        )
        world.pauses.rules[rule_id] = changed
        world.engine.notify()
        return json_reply(_rule_document(world, changed))


def delete_rule(world: World, request: Request, rule_id: str) -> Response:
    with world.lock:
        _own_rule(world, request, rule_id)
        del world.pauses.rules[rule_id]
        world.engine.notify()
        return json_reply(result(request, "Deleted", "Pause rule deleted successfully"))
