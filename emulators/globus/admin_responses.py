"""What the owner of a collection may do with the tasks on it: list, cancel, pause.

The owner holds every role on the collection; roles of others are not emulated.
"""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus import query
from emulators.globus import task_documents as documents
from emulators.globus.access import Caller, caller
from emulators.globus.endpoint_responses import endpoint_document, owner_of
from emulators.globus.errors import Document, TransferRefusal, bad_request, task_not_found
from emulators.globus.ids import is_uuid, random_id
from emulators.globus.people import glob_matches
from emulators.globus.places import Place
from emulators.globus.replies import json_reply
from emulators.globus.submission_responses import body_of
from emulators.globus.submissions import text
from emulators.globus.task_models import Task
from emulators.globus.task_responses import events_of, moved_of, pauses_of, result, skipped_of
from emulators.globus.times import fine_stamp, stamp
from emulators.globus.world import World

_MOST_IDS = 50
_PAGE = 100


def administers(world: World, who: Caller, collection_id: str | None) -> bool:
    place = None if collection_id is None else world.places.known(collection_id)
    return place is not None and owner_of(world, place.collection) in who.account.ids


def _side(world: World, who: Caller, task: Task) -> str | None:
    """The side of a task that the caller administers: SOURCE, DESTINATION, BOTH or none."""
    source, destination = administers(world, who, task.source), administers(world, who, task.destination)
    if source and destination:
        return "BOTH"
    return "SOURCE" if source else "DESTINATION" if destination else None


def _managed(world: World, request: Request, task_id: str) -> Task:
    who = caller(world, request)
    task = world.tasks.get(task_id)
    if task is None:
        raise task_not_found(task_id)
    if _side(world, who, task) is None:
        raise denied()
    world.engine.settle([task])
    return task


def denied() -> TransferRefusal:
    return TransferRefusal(403, "PermissionDenied", "You are not an activity manager of the collection")


def own_place(world: World, who: Caller, collection_id: str) -> Place:
    place = world.place(collection_id)
    if not administers(world, who, collection_id):
        raise denied()
    return place


def monitored(world: World, request: Request) -> Response:
    with world.lock:
        who = caller(world, request)
        mine = [place for place in world.places.all() if administers(world, who, place.collection.id)]
        return json_reply(
            {"DATA_TYPE": "monitored_endpoints", "DATA": [endpoint_document(world, place) for place in mine]}
        )


def get_endpoint(world: World, request: Request, collection_id: str) -> Response:
    with world.lock:
        return json_reply(endpoint_document(world, own_place(world, caller(world, request), collection_id)))


# -- tasks -------------------------------------------------------------------------------------------------


def task_list(world: World, request: Request) -> Response:
    """Tasks on the caller's collections: live ones, or those that ended in a time; newest first."""
    with world.lock:
        who = caller(world, request)
        tasks = [task for task in _asked(world, request) if _side(world, who, task) is not None]
        world.engine.settle([task for task in tasks if task.live])
        found = [task for task in tasks if _wanted(world, task, request)]
        keyed = sorted(((_key(task), task) for task in found), key=lambda each: each[0], reverse=True)
        after = request.args.get("last_key")
        rest = [each for each in keyed if after is None or each[0] < after]
        page = rest[: query.number(request.args, "limit", _PAGE, _PAGE)]
        return json_reply(
            {
                "DATA_TYPE": "task_list",
                "DATA": [documents.admin_document(world, task) for _, task in page],
                "has_next_page": len(rest) > len(page),
                "last_key": page[-1][0] if page else None,
            }
        )


def _ids(request: Request) -> list[str]:
    return [each for each in request.args.get("filter_task_id", "").split(",") if each]


def _asked(world: World, request: Request) -> list[Task]:
    """The tasks that are named, or all there are."""
    ids = _ids(request)
    if len(ids) > _MOST_IDS:
        raise bad_request(f"filter_task_id takes at most {_MOST_IDS} ids")
    named = [task for each in dict.fromkeys(ids) if (task := world.tasks.get(each)) is not None]
    return named if ids else world.tasks.all()


def _key(task: Task) -> str:
    state = "active" if task.completion_time is None else "complete"
    when = task.request_time if task.completion_time is None else task.completion_time
    return f"{state},{fine_stamp(when).removesuffix('+00:00')},{task.id}"


def _wanted(world: World, task: Task, request: Request) -> bool:
    args = request.args
    if _ids(request):
        return True
    collection = args.get("filter_endpoint")
    sides: dict[str, list[str | None]] = {"source": [task.source], "destination": [task.destination]}
    places = sides.get(args.get("filter_endpoint_use", ""), [task.source, task.destination])
    paused = args.get("filter_is_paused")
    when = args.get("filter_completion_time")
    ended = None if task.completion_time is None else stamp(task.completion_time)
    return (
        query.one_of(args.get("filter_status", "" if when else "ACTIVE,INACTIVE").split(","), task.status)
        and query.one_of(args.get("filter_owner_id", "").split(","), task.owner)
        and (collection is None or collection in places)
        and (paused is None or (paused.casefold() == "true") == task.is_paused)
        and (when is None or query.in_time(when.split(","), ended))
        and task.faults >= query.number(args, "filter_min_faults", 0)
        and glob_matches(args.get("filter_local_user") or "*", "emulated")
    )


def get_task(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        return json_reply(documents.admin_document(world, _managed(world, request, task_id)))


def event_list(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        return json_reply(events_of(world, request, _managed(world, request, task_id)))


def pause_info(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        return json_reply(pauses_of(world, _managed(world, request, task_id)))


def successful_transfers(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        return json_reply(moved_of(request, _managed(world, request, task_id)))


def skipped_errors(world: World, request: Request, task_id: str) -> Response:
    with world.lock:
        return json_reply(skipped_of(request, _managed(world, request, task_id)))


def _named(world: World, who: Caller, body: Document) -> list[Task]:
    ids = body.get("task_id_list")
    if not isinstance(ids, list) or not all(is_uuid(each) for each in ids):
        raise bad_request("'task_id_list' must be a list of task ids")
    tasks = []
    for task_id in ids:
        task = world.tasks.get(task_id)
        if task is None:
            raise task_not_found(task_id)
        if _side(world, who, task) is None:
            raise denied()
        tasks.append(task)
    return tasks


def cancel(world: World, request: Request) -> Response:
    body = body_of(request)
    with world.lock:
        who = caller(world, request)
        message, tasks = text(body, "message"), _named(world, who, body)
        for task in tasks:
            if task.live:
                details = f"Canceled by the administrator: {message}"
                world.engine.cancel(task, details, admin=_side(world, who, task), message=message)
        cancel_id = random_id()
        world.admin_cancels[cancel_id] = [task.id for task in tasks]
        return json_reply({"DATA_TYPE": "admin_cancel", "id": cancel_id, "done": False}, 202)


def cancel_status(world: World, request: Request, cancel_id: str) -> Response:
    with world.lock:
        caller(world, request)
        ids = world.admin_cancels.get(cancel_id)
        if ids is None:
            raise TransferRefusal(404, "ClientError.NotFound", "No such admin_cancel")
        tasks = [task for each in ids if (task := world.tasks.get(each)) is not None]
        world.engine.settle([task for task in tasks if task.live])
        return json_reply({"DATA_TYPE": "admin_cancel", "id": cancel_id, "done": not any(task.live for task in tasks)})


def pause(world: World, request: Request) -> Response:
    body = body_of(request)
    with world.lock:
        tasks = _named(world, caller(world, request), body)
        message = text(body, "message")
        for task in tasks:
            task.paused_by_admin = message
        world.engine.notify()
        return json_reply(result(request, "PauseAccepted", "The tasks will be paused"), 202)


def resume(world: World, request: Request) -> Response:
    body = body_of(request)
    with world.lock:
        for task in _named(world, caller(world, request), body):
            task.paused_by_admin = None
        world.engine.notify()
        return json_reply(result(request, "ResumeAccepted", "The tasks will be resumed"), 202)
