"""Fresh ids. Core takes them as arguments; here is where they come from."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from chalicelib.core.desk import InboxItem
from chalicelib.core.ids import BatchId, JobNumber


def batch_id() -> BatchId:
    """64 random bits: enough to tell the batches of one user apart."""
    return BatchId(secrets.token_hex(8))


def inbox_item(now: datetime, numbers: tuple[JobNumber, ...], **fields: Any) -> InboxItem:
    """An inbox item whose id sorts by time; ``fields`` are the others of the record."""
    at = int(now.timestamp() * 1000)
    return InboxItem(id=f"{at:012x}-{secrets.token_hex(6)}", numbers=numbers, **fields)
