"""Looking at tasks, cancelling and changing them. A user sees the tasks of their primary identity and no other."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus import pauses, query, submissions
from emulators.globus import task_documents as documents
from emulators.globus.access import Caller, caller
from emulators.globus.errors import Document, TransferRefusal, bad_request, task_not_found
from emulators.globus.ids import request_id
from emulators.globus.replies import json_reply
from emulators.globus.submission_responses import body_of
from emulators.globus.task_models import Task
from emulators.globus.times import stamp
from emulators.globus.world import World

_CANCEL_PATIENCE = 10.0

_TASK_TESTS: dict[str, query.Test] = {
    "task_id": query.one_of,
    "status": query.one_of,
    "type": query.one_of,
    "label": query.named,
    "request_time": query.in_time,
    "completion_time": query.in_time,
    "faults": query.in_numbers,
    "is_paused": query.one_of,
    "source_endpoint_id": query.one_of,
    "destination_endpoint_id": query.one_of,
}
_TASK_ORDER = ("task_id", "type", "status", "faults", "label", "request_time", "deadline", "completion_time")
_EVENT_TESTS: dict[str, query.Test] = {
    "is_error": lambda values, value: query.one_of(["true" if v in ("1", "true") else "false" for v in values], value),
    "code": query.one_of,
}


def result(request: Request, code: str, message: str) -> Document:
    return {
        "DATA_TYPE": "result",
        "code": code,
        "message": message,
        "request_id": request_id(),
        "resource": request.path,
    }


def own_task(world: World, who: Caller, task_id: str) -> Task:
    task = world.tasks.get(task_id)
    if task is None or task.owner != who.owner:
        raise task_not_found(task_id)
    return task


def polled(world: World, tasks: list[Task]) -> None:
    """Someone looks: a task that goes by polls comes one nearer to its end; what is due happens first."""
    for task in tasks:
        if task.live:
            task.polls += 1
    if tasks:
        world.engine.settle(tasks)


def get_task(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        polled(world, [task])
        return json_reply(query.trimmed(documents.full_document(world, task), request.args.get("fields")))


def task_list(world: World, request: Request) -> Response:
    with world.lock:
        who = caller(world, request)
        wanted = query.clauses(request.args.get("filter", ""))
        tasks = _named_tasks(world, who, wanted)
        polled(world, [task for task in tasks if task.live])
        found = [_brief(task) for task in reversed(tasks)]
        found = [each for each in found if query.passes(each, wanted, _TASK_TESTS)]
        found = query.ordered(found, request.args.get("orderby", "request_time DESC"), _TASK_ORDER)

        def written(brief: Document) -> Document:
            return documents.task_document(world, brief["task"])

        return json_reply(query.page(found, request.args, "task_list", world.settings.list_limit, written))


def _brief(task: Task) -> Document:
    """What a list is filtered and ordered by: only the page that is shown is written out in full."""
    return {
        "task": task,
        "task_id": task.id,
        "status": task.status,
        "type": task.type,
        "label": task.label,
        "request_time": stamp(task.request_time),
        "deadline": stamp(task.deadline),
        "completion_time": None if task.completion_time is None else stamp(task.completion_time),
        "faults": task.faults,
        "is_paused": task.is_paused,
        "source_endpoint_id": task.source,
        "destination_endpoint_id": task.destination,
    }


def _named_tasks(world: World, who: Caller, wanted: list[query.Clause]) -> list[Task]:
    """A user's tasks; only those named where the filter names some, so that polling does not read them all."""
    names = next((values for key, values in wanted if key == "task_id"), None)
    if names is None:
        return list(world.tasks.of(who.owner))
    found = [task for name in dict.fromkeys(names) if (task := world.tasks.get(name.strip())) is not None]
    return sorted((task for task in found if task.owner == who.owner), key=lambda task: task.request_time)


def event_list(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        world.engine.settle([task])
        return json_reply(events_of(world, request, task))


def events_of(world: World, request: Request, task: Task) -> Document:
    wanted = query.clauses(request.args.get("filter", ""))
    found = [
        event
        for event in reversed(task.events)
        if query.passes({"is_error": event.is_error, "code": event.code}, wanted, _EVENT_TESTS)
    ]
    return query.page(found, request.args, "event_list", world.settings.list_limit, documents.event_document)


def successful_transfers(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        return json_reply(moved_of(request, task))


def moved_of(request: Request, task: Task) -> Document:
    """The files that arrived; told when the task has ended."""
    moved = [] if task.live else task.moved
    return query.marked(moved, request.args, "successful_transfers", documents.moved_document)


def skipped_errors(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        return json_reply(skipped_of(request, task))


def skipped_of(request: Request, task: Task) -> Document:
    skipped = [] if task.live else task.skipped
    return query.marked(skipped, request.args, "skipped_errors", documents.skipped_document)


def pause_info(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        return json_reply(pauses_of(world, task))


def pauses_of(world: World, task: Task) -> Document:
    rules = [
        pauses.document(rule, world.collection(rule.collection).display_name, limited=True, when=stamp(rule.start_time))
        for rule in world.pauses.of_task(task, world.now())
    ]
    message = task.paused_by_admin
    return {
        "DATA_TYPE": "pause_info_limited",
        "pause_rules": rules,
        "source_pause_message": message,
        "source_pause_message_share": None,
        "destination_pause_message": None if task.destination is None else message,
        "destination_pause_message_share": None,
    }


def cancel(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        if not task.live:
            return json_reply(result(request, "TaskComplete", "The task completed before it could be cancelled."))
        world.engine.cancel(task, "Canceled by the task owner")
        if world.engine.wait_ended(task, _CANCEL_PATIENCE):
            return json_reply(result(request, "Canceled", "The task has been cancelled successfully."))
        return json_reply(result(request, "CancelAccepted", "The cancel request has been accepted."), 202)


def update(world: World, request: Request, task_id: str) -> Response:
    document = body_of(request, "task")
    with world.lock:
        task = own_task(world, caller(world, request), task_id)
        if {*document} - {"DATA_TYPE", "label", "deadline"}:
            raise bad_request("Only label and deadline can be changed")
        world.engine.settle([task])
        if not task.live:
            raise TransferRefusal(409, "ClientError.Conflict", "The task has completed")
        if "label" in document:
            task.label = submissions.label(document)
        if document.get("deadline") is not None:
            task.deadline = submissions.deadline(document, world.now(), world.settings)
            world.tasks.dated(task)
        world.engine.notify()
        return json_reply(result(request, "Updated", "Updated task successfully"))
