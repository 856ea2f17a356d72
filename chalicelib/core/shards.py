"""How users and jobs are spread over the partitions of an index, so that none of them is hot.

The counts are part of what is stored: a change of one hides the rows that were written before it.
"""

from __future__ import annotations

import zlib

from chalicelib.core.ids import JobRef, UserId

WAKE_SHARDS = 8
"""Partitions of the index of desks that want a look; the sweep reads each of them."""

SITE_SHARDS = 4
"""Partitions of one site's part of the site index; a sync reads each of them."""


def wake_shard(user: UserId) -> int:
    """The partition of a user's desk: 0 to WAKE_SHARDS - 1."""
    return zlib.crc32(user.encode()) % WAKE_SHARDS


def site_shard(ref: JobRef) -> int:
    """The partition of a job within its site: 0 to SITE_SHARDS - 1."""
    return zlib.crc32(str(ref).encode()) % SITE_SHARDS
