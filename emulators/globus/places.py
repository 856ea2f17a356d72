"""The collections while they serve: each with its directory, and what can happen to it (offline, deleted, full)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emulators.globus.config import Collection, Config
from emulators.globus.errors import TransferRefusal
from emulators.globus.roots import Root, parts_of


@dataclass(slots=True, kw_only=True)
class Place:
    collection: Collection
    root: Root
    offline: bool = False
    deleted: bool = False
    quota: int | None = None

    def parts(self, path: str) -> tuple[str, ...]:
        """The names of a path as this collection reads it."""
        return parts_of(path, self.collection.default_directory)


class Places:
    """Every collection by id."""

    def __init__(self, config: Config, data: Path) -> None:
        self._deleted_status = config.settings.deleted_status
        self._places: dict[str, Place] = {}
        for collection in config.collections:
            directory = collection.directory or data / collection.name
            directory.mkdir(parents=True, exist_ok=True)
            self._places[collection.id] = Place(collection=collection, root=Root(directory), quota=collection.quota)

    def all(self) -> list[Place]:
        return [place for place in self._places.values() if not place.deleted]

    def known(self, collection_id: str) -> Place | None:
        """The place of an id, deleted or not."""
        return self._places.get(collection_id)

    def get(self, collection_id: str) -> Place:
        """Raises ``TransferRefusal`` for an id that is unknown or deleted."""
        place = self._places.get(collection_id)
        if place is None:
            raise TransferRefusal(404, "EndpointNotFound", f"No such endpoint '{collection_id}'")
        if place.deleted:
            raise TransferRefusal(
                self._deleted_status, "EndpointDeleted", f"Endpoint '{collection_id}' has been deleted"
            )
        return place

    def named(self, name: str) -> Place:
        return next(place for place in self._places.values() if name in (place.collection.name, place.collection.id))
