"""Submitting: submission ids, transfers, deletes. A repeated submission id answers with the task it made before."""

from __future__ import annotations

from typing import Literal

from werkzeug.wrappers import Request, Response

from emulators.globus import submissions
from emulators.globus.access import Caller, caller, check
from emulators.globus.errors import Document, TransferRefusal, bad_request
from emulators.globus.ids import random_id, request_id
from emulators.globus.replies import json_reply
from emulators.globus.task_models import Task
from emulators.globus.world import World


def submission_id(world: World, request: Request) -> Response:
    with world.lock:
        caller(world, request)
    return json_reply({"DATA_TYPE": "submission_id", "value": random_id()})


def body_of(request: Request, kind: str | None = None) -> Document:
    """The JSON object of a request. Raises ``TransferRefusal`` 400."""
    document = request.get_json(silent=True, force=True)
    if not isinstance(document, dict):
        raise bad_request("The body is not a JSON object")
    if kind is not None and document.get("DATA_TYPE", kind) != kind:
        raise bad_request(f"Expected DATA_TYPE '{kind}'")
    return document


def transfer(world: World, request: Request) -> Response:
    document = body_of(request, "transfer")
    with world.lock:
        who = caller(world, request)
        source, destination = (
            submissions.text(document, "source_endpoint"),
            submissions.text(document, "destination_endpoint"),
        )
        return _submit(world, request, who, document, "TRANSFER", source, destination)


def delete(world: World, request: Request) -> Response:
    document = body_of(request, "delete")
    with world.lock:
        who = caller(world, request)
        return _submit(world, request, who, document, "DELETE", submissions.text(document, "endpoint"), None)


def _submit(
    world: World,
    request: Request,
    who: Caller,
    document: Document,
    kind: Literal["TRANSFER", "DELETE"],
    source: str,
    destination: str | None,
) -> Response:
    submitted = submissions.submission_id(document)
    before = world.tasks.submitted(who.owner, submitted)
    if before is not None:
        return json_reply(_result(request, before, "Duplicate"), world.settings.duplicate_status)
    check(world, who, *(world.place(each) for each in (source, destination) if each is not None))
    task = _task(world, who, document, kind, source, destination, submitted)
    _refuse_conflict(world, task)
    world.engine.submit(task)
    if world.pace.kind == "once":
        world.engine.settle([task])
    return json_reply(_result(request, task, "Accepted"), 202)


def _task(
    world: World,
    who: Caller,
    document: Document,
    kind: Literal["TRANSFER", "DELETE"],
    source: str,
    destination: str | None,
    submitted: str,
) -> Task:
    transfer = kind == "TRANSFER"
    now = world.now()
    return Task(
        id=random_id(),
        type=kind,
        owner=who.owner,
        client=who.client,
        session=who.session,
        submission_id=submitted,
        source=source,
        destination=destination,
        items=submissions.transfer_items(document) if transfer else submissions.delete_items(document),
        options=submissions.transfer_options(document) if transfer else submissions.delete_options(document),
        label=submissions.label(document),
        request_time=now,
        deadline=submissions.deadline(document, now, world.settings),
    )


def _refuse_conflict(world: World, task: Task) -> None:
    """Two live transfers of the same paths, or one task too many, are refused."""
    world.engine.settle_owner(task.owner)
    if world.tasks.pending(task.owner) >= world.settings.pending_tasks:
        raise TransferRefusal(
            409, "ClientError.Conflict.TooManyPendingJobs", "You have too many pending tasks, wait for some to end"
        )
    if world.tasks.moving(task):
        raise TransferRefusal(409, "Conflict", "A transfer with identical paths has not yet completed")


def _result(request: Request, task: Task, code: str) -> Document:
    kind = task.type.lower()
    return {
        "DATA_TYPE": f"{kind}_result",
        "code": code,
        "message": f"The {kind} has been accepted and a task has been created and queued for execution",
        "request_id": request_id(),
        "resource": request.path,
        "submission_id": task.submission_id,
        "task_id": task.id,
        "task_link": {
            "DATA_TYPE": "link",
            "href": f"/v0.10/task/{task.id}?format=json",
            "rel": "related",
            "resource": "task",
            "title": "related task",
        },
    }
