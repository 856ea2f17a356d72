"""Bookmarks: a name for a path on a collection, each user's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from emulators.globus.ids import random_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    id: str = field(default_factory=random_id)
    owner: str
    name: str
    collection: str
    path: str


class Bookmarks:
    def __init__(self) -> None:
        self._bookmarks: dict[str, Bookmark] = {}

    def of(self, owner: str) -> list[Bookmark]:
        mine = [each for each in self._bookmarks.values() if each.owner == owner]
        return sorted(mine, key=lambda each: each.name)

    def get(self, owner: str, bookmark_id: str) -> Bookmark | None:
        found = self._bookmarks.get(bookmark_id)
        return found if found is not None and found.owner == owner else None

    def put(self, bookmark: Bookmark) -> Bookmark:
        self._bookmarks[bookmark.id] = bookmark
        return bookmark

    def rename(self, bookmark: Bookmark, name: str) -> Bookmark:
        return self.put(replace(bookmark, name=name))

    def remove(self, bookmark: Bookmark) -> None:
        del self._bookmarks[bookmark.id]
