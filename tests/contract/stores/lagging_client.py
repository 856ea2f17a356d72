"""A DynamoDB client whose indexes and weak reads lag: they answer as of some writes ago, as real ones may.

Every write that took place is carried out again, later, on a second set of the same tables; indexes are
asked there, and so are batches of reads that are not to be strong. All else is asked directly.
"""

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

_WRITES = (
    "put_item",
    "update_item",
    "delete_item",
    "batch_write_item",
    "transact_write_items",
    "batch_execute_statement",
)


class LaggingClient:
    """``behind`` is the client that keeps the second set, under the same table names."""

    def __init__(self, ahead: Any, behind: Any, lag: int) -> None:
        self._ahead, self._behind, self._lag = ahead, behind, lag
        self._coming: deque[tuple[str, dict[str, Any]]] = deque()

    def catch_up(self) -> None:
        """Let the indexes come up to date."""
        self._replay(0)

    def query(self, **request: Any) -> Any:
        if "IndexName" not in request:
            return self._ahead.query(**request)
        self._replay(self._lag)
        return self._behind.query(**request)

    def batch_get_item(self, **request: Any) -> Any:
        if any(asked.get("ConsistentRead") for asked in request["RequestItems"].values()):
            return self._ahead.batch_get_item(**request)
        self._replay(self._lag)
        return self._behind.batch_get_item(**request)

    def __getattr__(self, call: str) -> Callable[..., Any]:
        if call not in _WRITES:
            return getattr(self._ahead, call)  # type: ignore[no-any-return]

        def write(**request: Any) -> Any:
            kept = copy.deepcopy(request)
            answer = getattr(self._ahead, call)(**request)
            kept.pop("ClientRequestToken", None)
            self._coming.append((call, kept))
            return answer

        return write

    def _replay(self, but: int) -> None:
        while len(self._coming) > but:
            call, request = self._coming.popleft()
            getattr(self._behind, call)(**request)
