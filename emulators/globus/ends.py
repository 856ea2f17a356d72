"""The two ends of a transfer, and how trouble at either becomes a fault of the task."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from emulators.globus.access import allows
from emulators.globus.places import Place
from emulators.globus.roots import BadPathError, Draft, Entry
from emulators.globus.run_errors import FaultError, fault_of
from emulators.globus.task_models import Side, Task

if TYPE_CHECKING:
    from emulators.globus.world import World

T = TypeVar("T")
Parts = tuple[str, ...]


class Ends:
    """Source and destination as the task's owner may use them. Raises ``OSError``; ``at`` turns it into a fault."""

    def __init__(self, world: World, task: Task) -> None:
        assert task.destination is not None
        source, destination = world.places.known(task.source), world.places.known(task.destination)
        assert source is not None
        assert destination is not None
        self.source: Place = source
        self.destination: Place = destination
        self._world = world
        self._account = world.account(task.owner)

    # -- the source ----------------------------------------------------------------------------------------

    def stat(self, parts: Parts) -> os.stat_result:
        self.permitted("source", parts, write=False)
        return self.source.root.stat(parts)

    def listed(self, parts: Parts) -> list[Entry]:
        self.permitted("source", parts, write=False)
        _refuse_unreadable(self.source.root.stat(parts))
        return self.source.root.listing(parts)

    def opened(self, parts: Parts) -> BinaryIO:
        self.permitted("source", parts, write=False)
        file = self.source.root.read(parts)
        try:
            _refuse_unreadable(os.fstat(file.fileno()))
        except PermissionError:
            file.close()
            raise
        return file

    # -- the destination -----------------------------------------------------------------------------------

    def make(self, parts: Parts) -> None:
        """Make a directory with all above it."""
        self.permitted("destination", parts, write=True)
        self.destination.root.ensure_directory(parts)

    def draft(self, parts: Parts) -> Draft:
        """Begin a file; the directories above it are made."""
        self.permitted("destination", parts, write=True)
        self.destination.root.ensure_directory(parts[:-1])
        return self.destination.root.draft(parts)

    # -- both ----------------------------------------------------------------------------------------------

    def permitted(self, side: Side, parts: Parts, *, write: bool) -> None:
        place = self.source if side == "source" else self.destination
        if not allows(self._world, self._account, place.collection, parts, write=write):
            raise PermissionError(errno.EACCES, "Path not allowed.")

    def at(self, side: Side, path: str, act: Callable[[], T]) -> T:
        """Do it; an error of the file system becomes a fault of this side."""
        try:
            return act()
        except OSError as error:
            raise self.translated(error, side, path) from error
        except BadPathError as error:
            raise self.fault(errno.ENOENT, side, path) from error

    def translated(self, error: OSError, side: Side, path: str) -> FaultError:
        return fault_of(error, side, path, self._world.settings)

    def fault(self, number: int, side: Side, path: str) -> FaultError:
        return self.translated(OSError(number, os.strerror(number)), side, path)


def _refuse_unreadable(info: os.stat_result) -> None:
    """What its owner may not read is unreadable, though a superuser would read it all the same."""
    if not info.st_mode & stat.S_IRUSR:
        raise PermissionError(errno.EACCES, "Permission denied")
