"""The commit of a POST in the table ``jobs``: numbers, the posting, its rows, and the notes of output targets.

    P#<key>      v · body · nums · at · done · expires (once committed)
    O#<digest>   v · num · expires

A posting that is not committed does not expire: rows that were put for it would be nobody's for ever. A committed
one outlives its jobs (``encoding.words_expire``), because a job that nothing has happened to yet, however long it
waits, counts as its user's only while its posting says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.dynamodb import desk_items, job_items
from chalicelib.adapters.dynamodb.encoding import (
    SCHEMA,
    key,
    micros,
    moment,
    read_numbers,
    words_expire,
    write_numbers,
)
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.table import Refused, Table
from chalicelib.core.desk import InboxItem
from chalicelib.core.holdings import Caps, Holding
from chalicelib.core.ids import FIRST_NUMBER, JobNumber, UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Commit, Posting, Taken


class PostingTable:
    """``core.ports.jobs.Postings`` in DynamoDB. ``retention`` is how long final jobs are kept."""

    def __init__(self, table: Table, clock: Clock, retention: timedelta) -> None:
        self._table, self._clock, self._retention = table, clock, retention

    def numbers(self, user: UserId, count: int) -> Taken:
        take = Piece(
            "SET #next_number = if_not_exists(#next_number, :first) + :count, #v = :v",
            {"first": FIRST_NUMBER, "count": count, "v": SCHEMA},
        )
        desk = self._table.write(self._table.update(desk_items.desk_key(user), take), returning=True)
        assert not isinstance(desk, Refused), "the write has no condition"
        beyond = int(desk["next_number"])
        numbers = tuple(JobNumber(number) for number in range(beyond - count, beyond))
        return Taken(numbers=numbers, tally=desk_items.read_desk(desk).tally)

    def begin(self, posting: Posting) -> Posting:
        # The first request under a key decides which jobs it stands for; a repeat must go on with those.
        first = Piece("attribute_not_exists(#sk)")
        answer = self._table.write(self._table.put(_write_posting(posting), first))
        if not isinstance(answer, Refused):
            return posting
        assert answer.stored is not None, "only an item that is there can be in the way"
        return read_posting(answer.stored)

    def find(self, user: UserId, key: str) -> Posting | None:
        found = self._table.get(posting_key(user, key))
        return None if found is None else read_posting(found)

    def put_rows(self, rows: Sequence[tuple[Job, Mapping[str, Any]]]) -> None:
        """The documents first, so that no status is without its own. A repeat puts the same documents again.

        It may come when its job has long gone on, and so may a call that boto3 has given up and made again: a status
        that is there is never put back.
        """
        documents = [
            job_items.write_document(job.ref, job.revision, document, words_expire(job.created_at, self._retention))
            for job, document in rows
        ]
        self._table.fill(documents)
        self._table.write_each([self._table.insert(job_items.write_job(job, self._retention)) for job, _ in rows])

    def commit(self, posting: Posting, fact: InboxItem, now: datetime, adds: Holding, caps: Caps) -> Commit:
        # Once only: a second commit would wake the planner for jobs that it may have finished with.
        pending = Piece("#done = :pending", {"pending": False})
        done = Piece(
            "SET #done = :done, #expires = :expires",
            {"done": True, "expires": words_expire(now, self._retention)},
        )
        commit = self._table.update(posting_key(posting.user, posting.key), done, pending)
        told = desk_items.record_jobs(self._table, posting.user, fact, now, adds, caps)
        failed = self._table.transact([commit, *told])
        return Commit.DONE if not failed else Commit.ALREADY if 0 in failed else Commit.FULL

    def noted(self, user: UserId, targets: Sequence[str]) -> Mapping[str, JobNumber]:
        found = self._table.get_many([key(user, f"O#{target}") for target in targets])
        return {item["sk"].partition("#")[2]: JobNumber(item["num"]) for item in found}

    def claim_target(self, user: UserId, target: str, number: JobNumber, instead_of: JobNumber | None) -> JobNumber:
        # Nobody writes there, or this job itself does, or one of which the caller knows that it no longer will.
        free = Piece(
            "attribute_not_exists(#sk) OR #num = :number OR #num = :instead_of",
            {"number": number, "instead_of": number if instead_of is None else instead_of},
        )
        expires = words_expire(self._clock.now(), self._retention)
        note = {**key(user, f"O#{target}"), "v": SCHEMA, "num": number, "expires": expires}
        answer = self._table.write(self._table.put(note, free))
        if not isinstance(answer, Refused):
            return number
        assert answer.stored is not None, "only an item that is there can be in the way"
        return JobNumber(answer.stored["num"])


def posting_key(user: UserId, posting: str) -> dict[str, Any]:
    return key(user, f"P#{posting}")


def _write_posting(posting: Posting) -> dict[str, Any]:
    return {
        **posting_key(posting.user, posting.key),
        "v": SCHEMA,
        "body": posting.body,
        "nums": write_numbers(posting.numbers),
        "at": micros(posting.started_at),
        "done": posting.committed,
    }


def read_posting(item: Mapping[str, Any]) -> Posting:
    return Posting(
        user=UserId(item["user"]),
        key=item["sk"].partition("#")[2],
        body=item["body"],
        numbers=read_numbers(item["nums"]),
        started_at=moment(item["at"]),
        committed=item["done"],
    )
