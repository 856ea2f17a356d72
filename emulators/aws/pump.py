"""Feeds the functions that a queue invokes, as Lambda's event source mappings do.

One thread a queue takes messages while fewer than ``maximum_concurrency`` batches are under way; each batch
runs in its own thread. A batch that succeeds is deleted; one that fails, or whose host dies, is left to the
queue: its visibility time-out, and its redrive policy. A partial-failure answer counts only where the
template asks for ReportBatchItemFailures, as in AWS. Works on moto's queues directly; that the function's
own policy lets it receive is checked when the stack starts, as AWS checks when a mapping is made.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import sqs_backends

from emulators.aws.hosts import Pool
from emulators.aws.project import QueueSource

_LOOK = 0.02  # seconds between looks at a silent queue: a delay or a visibility time-out may have ended


class Pump:
    """One queue's feed, between start() and stop()."""

    def __init__(
        self, source: QueueSource, pool: Pool, *, account: str, region: str, partial_failures: bool = False
    ) -> None:
        self._source, self._pool = source, pool
        self._backend: Any = sqs_backends[account][region]
        self._queue: Any = self._backend.get_queue(source.queue)
        self._region = region
        self._partial = partial_failures
        self._limit = min(source.maximum_concurrency or pool.size, pool.size)
        self._wake = threading.Condition()
        self._under_way = 0
        self._sent = False
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name=f"pump {source.queue}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Something was sent: look now."""
        with self._wake:
            self._sent = True
            self._wake.notify_all()

    def under_way(self) -> int:
        with self._wake:
            return self._under_way

    def _watch(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopped or self._under_way < self._limit)
                if self._stopped:
                    return
                self._sent = False
            messages = self._backend.receive_message(
                self._source.queue, self._source.batch_size, 0, self._queue.visibility_timeout
            )
            with self._wake:
                if messages:
                    self._under_way += 1
                else:
                    self._wake.wait_for(lambda: self._stopped or self._sent, _LOOK)
            if messages:
                threading.Thread(target=self._feed, args=(messages,), daemon=True).start()

    def _feed(self, messages: list[Any]) -> None:
        try:
            outcome = self._pool.run({"Records": [self._record(message) for message in messages]})
            if outcome is not None and not outcome.failed:
                kept = self._failures(outcome.payload)
                for message in messages:
                    if message.id not in kept:
                        self._delete(message)
        finally:
            with self._wake:
                self._under_way -= 1
                self._wake.notify_all()

    def _delete(self, message: Any) -> None:
        try:
            self._backend.delete_message(self._source.queue, message.receipt_handle)
        except ReceiptHandleIsInvalid:
            return  # the queue was purged meanwhile: the message is gone, which is what was wanted

    def _failures(self, payload: Any) -> set[str]:
        if not self._partial or not isinstance(payload, dict):
            return set()
        return {one["itemIdentifier"] for one in payload.get("batchItemFailures") or []}

    def _record(self, message: Any) -> dict[str, Any]:
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.approximate_receive_count),
                "SentTimestamp": str(message.sent_timestamp),
                "SenderId": "AIDALOCAL",
                "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
            },
            "messageAttributes": {},
            "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.queue_arn,
            "awsRegion": self._region,
        }
