"""How Transfer writes tasks, events, transferred files and skipped errors."""

from __future__ import annotations

from emulators.globus.errors import Document
from emulators.globus.ids import derived
from emulators.globus.task_models import Event, FilterRule, Moved, Skipped, Task
from emulators.globus.times import stamp
from emulators.globus.world import World


def task_document(world: World, task: Task) -> Document:
    """The 52 fields that every task has in a user's list."""
    options, transfer = task.options, task.type == "TRANSFER"
    return {
        "bytes_checksummed": task.bytes_checksummed,
        "bytes_transferred": task.bytes_transferred,
        "canceled_by_admin": task.canceled_by_admin,
        "canceled_by_admin_message": task.admin_message,
        "command": "API 0.10",
        "completion_time": None if task.completion_time is None else stamp(task.completion_time),
        "deadline": stamp(task.deadline),
        "delete_destination_extra": options.delete_destination_extra,
        **_endpoint(world, "destination", task.destination),
        "directories": task.directories,
        "effective_bytes_per_second": _speed(world, task),
        "encrypt_data": options.encrypt_data,
        "fail_on_quota_errors": options.fail_on_quota_errors,
        "fatal_error": None if task.fatal is None else {"code": task.fatal[0], "description": task.fatal[1]},
        "faults": task.faults,
        "files": task.files,
        "files_skipped": task.files_skipped,
        "files_transferred": task.files_transferred,
        "filter_rules": [_rule(rule) for rule in options.filter_rules] or None,
        "history_deleted": False,
        "is_ok": (task.nice_status in ("OK", "Queued")) if task.live else None,
        "is_paused": task.is_paused,
        "label": task.label,
        **_nice(task),
        "owner_id": task.owner,
        "preserve_timestamp": options.preserve_timestamp,
        "recursive_symlinks": "ignore" if transfer else None,
        "request_time": stamp(task.request_time),
        "skip_source_errors": options.skip_source_errors,
        **_endpoint(world, "source", task.source),
        "status": task.status,
        **_subtasks(task),
        "symlinks": task.symlinks,
        "sync_level": options.sync_level,
        "task_id": task.id,
        "type": task.type,
        "username": "u_" + derived("user", task.owner).replace("-", "")[:26],
        "verify_checksum": options.verify_checksum,
    }


def full_document(world: World, task: Task) -> Document:
    """What asking for one task adds."""
    local = {f"{side}_{name}": None for side in ("source", "destination") for name in ("base_path", "local_user")}
    status = {f"{side}_local_user_status": "NO_PERMISSION" for side in ("source", "destination")}
    return {"DATA_TYPE": "task", **task_document(world, task), **local, **status}


def admin_document(world: World, task: Task) -> Document:
    """What an administrator of one of the collections sees of a task."""
    sides = {}
    for side, collection_id in (("source", task.source), ("destination", task.destination)):
        place = None if collection_id is None else world.places.known(collection_id)
        guest = place is not None and place.collection.kind == "guest"
        sides.update(
            {
                f"{side}_host_endpoint": None,
                f"{side}_host_endpoint_display_name": None,
                f"{side}_host_endpoint_id": place.collection.host_id if place is not None and guest else None,
                f"{side}_host_path": None,
                f"{side}_mapped_collection_display_name": None,
                f"{side}_mapped_collection_id": None,
            }
        )
    return {**full_document(world, task), **sides, "owner_string": world.account(task.owner).primary.username}


def _endpoint(world: World, side: str, collection_id: str | None) -> Document:
    if collection_id is None:
        return {f"{side}_endpoint{end}": None for end in ("", "_display_name", "_id")}
    place = world.places.known(collection_id)
    assert place is not None
    return {
        f"{side}_endpoint": f"{place.collection.host_id}#{collection_id}",
        f"{side}_endpoint_display_name": place.collection.display_name,
        f"{side}_endpoint_id": collection_id,
    }


def _speed(world: World, task: Task) -> int:
    until = world.now() if task.completion_time is None else task.completion_time
    return int(task.bytes_transferred / max(1.0, until - task.request_time))


def _nice(task: Task) -> Document:
    if not task.live:
        names = ("", "_details", "_expires_in", "_short_description")
        return {f"nice_status{name}": None for name in names}
    status = task.nice_status or "OK"
    return {
        "nice_status": status,
        "nice_status_details": task.nice_details,
        "nice_status_expires_in": -1 if status in ("OK", "Queued") else 0,
        "nice_status_short_description": status.replace("_", " ").capitalize() if status != "OK" else "OK",
    }


def _subtasks(task: Task) -> Document:
    skipped = len(task.skipped)
    rest = max(0, task.units - task.units_done - skipped)
    retrying = min(rest, task.units_retrying)
    open_ones = rest - retrying if task.live else 0
    return {
        "subtasks_canceled": rest if task.ended_as == "canceled" else 0,
        "subtasks_expired": rest if task.ended_as == "expired" else 0,
        "subtasks_failed": rest if task.ended_as == "failed" else 0,
        "subtasks_pending": open_ones,
        "subtasks_retrying": retrying if task.live else 0,
        "subtasks_skipped_errors": skipped,
        "subtasks_succeeded": task.units_done,
        "subtasks_total": task.units,
    }


def _rule(rule: FilterRule) -> Document:
    return {"DATA_TYPE": "filter_rule", "method": rule.method, "name": rule.name, "type": rule.type}


def event_document(event: Event) -> Document:
    return {
        "DATA_TYPE": "event",
        "code": event.code,
        "description": event.description,
        "details": event.details,
        "is_error": event.is_error,
        "time": stamp(event.time),
    }


def moved_document(moved: Moved) -> Document:
    return {
        "DATA_TYPE": "successful_transfer",
        "source_path": moved.source_path,
        "destination_path": moved.destination_path,
        "size": moved.size,
        "checksum": moved.checksum,
        "checksum_algorithm": moved.algorithm,
    }


def skipped_document(skipped: Skipped) -> Document:
    return {
        "DATA_TYPE": "skipped_error",
        "checksum_algorithm": skipped.algorithm,
        "destination_path": skipped.destination_path,
        "error_code": skipped.code,
        "error_details": skipped.details,
        "error_time": stamp(skipped.time),
        "external_checksum": skipped.external_checksum,
        "is_delete_destination_extra": False,
        "is_directory": skipped.is_directory,
        "is_symlink": False,
        "source_path": skipped.source_path,
    }
