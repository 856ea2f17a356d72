"""Counting a user's live jobs in the table ``jobs``: the rows of statuses, filtered where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chalicelib.adapters.dynamodb import desk_items, job_items
from chalicelib.adapters.dynamodb.encoding import job_sk
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.postings import posting_key, read_posting
from chalicelib.adapters.dynamodb.table import Refused, Table
from chalicelib.core.holdings import Tally
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.ports.holdings import LiveRow


class HoldingTable:
    """``core.ports.holdings.Holdings`` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def tally(self, user: UserId) -> Tally:
        found = self._table.get(desk_items.desk_key(user))
        return Tally() if found is None else desk_items.read_desk(found).tally

    def live(self, user: UserId, first: JobNumber) -> Iterator[LiveRow]:
        within = Piece(
            "#user = :user AND #sk BETWEEN :first AND :last",
            {"user": user, "first": job_sk(first), "last": job_sk(10**10 - 1)},
        )
        not_ended = Piece("attribute_not_exists(#expires)")
        for item in self._table.query(within, only=not_ended, fields=("sk", "d")):
            yield job_items.live_row(item)

    def committed(self, user: UserId, postings: Iterable[str]) -> frozenset[str]:
        found = self._table.get_many([posting_key(user, each) for each in postings])
        return frozenset(read_posting(item).key for item in found if item["done"])

    def keep(self, user: UserId, tally: Tally, *, was: Tally) -> bool:
        return not isinstance(self._table.write(desk_items.keep_tally(self._table, user, tally, was)), Refused)
