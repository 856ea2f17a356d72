"""Globus Transfer through the unmodified globus_sdk.

The SDK's retries are off: the loop is the retry. Its authorizer is the one that holds a token and never looks
at a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.endpoint_document import read_endpoint
from chalicelib.adapters.globus_errors import globus
from chalicelib.core.batch import Batch, Movement
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import CollectionId, SubmissionId, TaskId
from chalicelib.core.ports.transfer import IdenticalPaths, Skip, Task, TaskEvent, TaskStatus, TooManyTasks
from chalicelib.core.tokens import AccessToken

if TYPE_CHECKING:
    from globus_sdk import TransferClient

TIMEOUT = 30.0
"""Seconds. A transfer document of 2,000 items takes Globus a while to accept."""

MOST_ERRORS = 50
MOST_SEEN = 100
"""Tasks of the user that one look sees, the newest first: Globus lets no more than that be pending."""

_FIELDS = ",".join(
    (
        "task_id,status,label,files,files_transferred,files_skipped,bytes_transferred,effective_bytes_per_second",
        "is_ok,is_paused,faults,nice_status,fatal_error,subtasks_skipped_errors,subtasks_expired",
        "request_time,completion_time,canceled_by_admin,canceled_by_admin_message",
    )
)
_CHECKSUM = 3
_SERVICE = "transfer"


class GlobusTransfer:
    """``core.ports.transfer.Submissions``, ``Tasks`` and ``Endpoints``."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._kept: tuple[AccessToken, TransferClient] | None = None

    def submission(self, token: AccessToken) -> SubmissionId:
        with self._call(token) as client:
            return SubmissionId(client.get_submission_id()["value"])

    def submit(self, token: AccessToken, batch: Batch, movements: Sequence[Movement]) -> TaskId:
        try:
            with self._call(token) as client:
                return TaskId(client.submit_transfer(_transfer_data(batch, movements))["task_id"])
        except FarSide as fault:
            raise _submit_fault(fault) from None

    def cancel(self, token: AccessToken, task: TaskId) -> None:
        with self._call(token) as client:
            client.cancel_task(task)

    def look(self, token: AccessToken, ids: Sequence[TaskId]) -> Mapping[TaskId, Task]:
        with self._call(token) as client:
            newest = client.task_list(
                limit=MOST_SEEN, orderby="request_time DESC", filter="type:TRANSFER", query_params={"fields": _FIELDS}
            )
            seen = {task.id: task for task in map(_task, newest["DATA"])}
            if (older := [each for each in ids if each not in seen]) and len(seen) == MOST_SEEN:
                named = client.task_list(filter=f"task_id:{','.join(older)}", limit=len(older))
                seen |= {task.id: task for task in map(_task, named["DATA"])}
        wanted = frozenset(ids)
        return {each: task for each, task in seen.items() if each in wanted or not task.status.ended}

    def find(self, token: AccessToken, label: str) -> Task | None:
        with self._call(token) as client:
            answer = client.task_list(filter=f"label:={label}", orderby="request_time DESC", limit=1)
        return next(map(_task, answer["DATA"]), None)

    def skipped(self, token: AccessToken, task: TaskId) -> Sequence[Skip]:
        with self._call(token) as client:
            pages = client.paginated.task_skipped_errors(task).pages()
            return [_skip(entry) for page in pages for entry in page["DATA"]]

    def delivered(self, token: AccessToken, task: TaskId) -> Sequence[str]:
        with self._call(token) as client:
            pages = client.paginated.task_successful_transfers(task).pages()
            return [entry["destination_path"] for page in pages for entry in page["DATA"]]

    def errors(self, token: AccessToken, task: TaskId) -> Sequence[TaskEvent]:
        with self._call(token) as client:
            answer = client.task_event_list(task, limit=MOST_ERRORS, query_params={"filter": "is_error:1"})
        return [_event(entry) for entry in answer["DATA"]]

    def facts(self, token: AccessToken, collection: CollectionId) -> CollectionFacts | None:
        try:
            with self._call(token) as client:
                return read_endpoint(collection, client.get_endpoint(collection).data)
        except FarSide as fault:
            if fault.transient or fault.status == 401:
                raise
            return None

    @contextmanager
    def _call(self, token: AccessToken) -> Iterator[TransferClient]:
        """A client for this token; the last one is kept, so that a pass uses one connection."""
        from globus_sdk import AccessTokenAuthorizer, TransferClient
        from globus_sdk.transport import RequestsTransport, RetryConfig

        if self._kept is None or self._kept[0] != token:
            client = TransferClient(
                authorizer=AccessTokenAuthorizer(token.value),
                transport=RequestsTransport(http_timeout=self._timeout),
                retry_config=RetryConfig(max_retries=0),
            )
            self._kept = (token, client)
        with globus(_SERVICE):
            yield self._kept[1]


def _transfer_data(batch: Batch, movements: Sequence[Movement]) -> Any:
    """The document of a batch. Its movements have the same options, or they would not share it."""
    from globus_sdk import MISSING, TransferData

    data = TransferData(
        batch.route.source,
        batch.route.destination,
        label=batch.label,
        submission_id=batch.submission,
        sync_level=_CHECKSUM if batch.careful else MISSING,
        encrypt_data=movements[0].options.encrypt,
        verify_checksum=True,
        skip_source_errors=True,
        fail_on_quota_errors=True,
        deadline=batch.deadline.astimezone(UTC).isoformat(timespec="seconds"),
        notify_on_succeeded=False,
        notify_on_failed=False,
        notify_on_inactive=False,
    )
    for rule in movements[0].options.rules:
        data.add_filter_rule(rule.name, method=rule.method, type=rule.kind)
    for move in movements:
        data.add_item(move.source.path, move.destination.path, recursive=move.recursive)
    return data


def _submit_fault(fault: FarSide) -> FarSide:
    """The two conflicts that pass when another task has ended."""
    kinds = {"TooManyPendingJobs": TooManyTasks, "Conflict": IdenticalPaths}
    kind = kinds.get(fault.code.rpartition(".")[2])
    if fault.status != 409 or kind is None:
        return fault
    return kind(
        fault.service, fault.code, fault.detail, transient=True, retry_after=fault.retry_after, status=fault.status
    )


def _task(doc: Mapping[str, Any]) -> Task:
    fatal = doc.get("fatal_error") or {}
    return Task(
        id=TaskId(doc["task_id"]),
        status=TaskStatus(doc["status"]),
        label=doc.get("label") or "",
        files=doc.get("files") or 0,
        files_done=(doc.get("files_transferred") or 0) + (doc.get("files_skipped") or 0),
        bytes=doc.get("bytes_transferred") or 0,
        ok=doc.get("is_ok") is not False,
        paused=bool(doc.get("is_paused")),
        faults=doc.get("faults") or 0,
        skipped=doc.get("subtasks_skipped_errors") or 0,
        nice_status=doc.get("nice_status"),
        fatal=fatal.get("code"),
        expired=bool(doc.get("subtasks_expired")),
        admin=(doc.get("canceled_by_admin_message") or "no reason given") if doc.get("canceled_by_admin") else None,
        rate=doc.get("effective_bytes_per_second") or 0,
        took=_took(doc),
    )


def _took(doc: Mapping[str, Any]) -> timedelta | None:
    begun, ended = doc.get("request_time"), doc.get("completion_time")
    return None if not begun or not ended else datetime.fromisoformat(ended) - datetime.fromisoformat(begun)


def _skip(doc: Mapping[str, Any]) -> Skip:
    return Skip(source_path=doc["source_path"], code=doc["error_code"], detail=doc.get("error_details") or "")


def _event(doc: Mapping[str, Any]) -> TaskEvent:
    return TaskEvent(
        code=doc["code"],
        description=doc.get("description") or "",
        detail=doc.get("details") or "",
        time=datetime.fromisoformat(doc["time"]),
    )
