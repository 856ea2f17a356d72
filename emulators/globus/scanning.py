"""Finds what an item of a transfer consists of. One scan is all or nothing: a fault leaves no trace of it."""

from __future__ import annotations

import errno
import fnmatch
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from emulators.globus.ends import Ends, Parts
from emulators.globus.roots import Entry
from emulators.globus.run_errors import FaultError
from emulators.globus.task_models import FilterRule, Item, Options, Skipped

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One file to move, or one directory to make."""

    item: Item
    source: Parts
    destination: Parts
    source_path: str
    destination_path: str
    is_directory: bool


@dataclass(slots=True, kw_only=True)
class Found:
    """What a scan found. ``names`` are those in each source directory, by its place at the destination."""

    units: list[Unit] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    names: dict[Parts, set[str]] = field(default_factory=dict)
    links: int = 0


def included(rules: tuple[FilterRule, ...], name: str, *, is_directory: bool) -> bool:
    """Whether the rules let a name pass: the first that matches decides, and what none matches is included."""
    kind = "dir" if is_directory else "file"
    for rule in rules:
        if rule.type in (None, kind) and fnmatch.fnmatchcase(name, rule.name):
            return rule.method == "include"
    return True


class Scan:
    """Scans one item; ``step`` is called between directories and may raise, ``now`` dates what is skipped."""

    def __init__(
        self, ends: Ends, options: Options, not_a_directory: str, step: Callable[[], None], now: Callable[[], float]
    ) -> None:
        self._ends, self._options, self._not_a_directory = ends, options, not_a_directory
        self._step, self._now = step, now
        self._found = Found()

    def item(self, item: Item) -> Found:
        """Raises ``FaultError`` for what cannot be scanned now. A directory's contents go into the destination."""
        ends = self._ends
        source = ends.at("source", item.source_path, lambda: ends.source.parts(item.source_path))
        target = ends.at("destination", item.destination_path, lambda: ends.destination.parts(item.destination_path))
        top = Unit(
            item=item,
            source=source,
            destination=target,
            source_path=item.source_path,
            destination_path=item.destination_path,
            is_directory=False,
        )
        info = self._unless_skipped(top, lambda: ends.at("source", item.source_path, lambda: ends.stat(source)))
        if info is not None:
            self._top(top, stat.S_ISDIR(info.st_mode))
        return self._found

    def _top(self, unit: Unit, is_directory: bool) -> None:
        item = unit.item
        if is_directory and item.recursive is False:
            raise self._ends.fault(errno.EISDIR, "source", item.source_path)
        if not is_directory and (item.recursive is True or item.source_path.endswith("/")):
            # Not a missing file: no submission may skip it.
            raise FaultError(self._not_a_directory, f"{item.source_path} is not a directory", "source")
        if not is_directory and item.destination_path.endswith("/"):
            raise self._ends.fault(errno.EISDIR, "destination", item.destination_path)
        if is_directory:
            self._tree(_as_directory(unit))
        else:
            self._found.units.append(unit)

    def _tree(self, top: Unit) -> None:
        """A directory and all below it, parents before children."""
        self._found.units.append(top)
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            self._step()
            entries = self._unless_skipped(folder, lambda unit=folder: self._listed(unit))  # type: ignore[misc]
            for unit in self._children(folder, entries or []):
                self._found.units.append(unit)
                if unit.is_directory:
                    waiting.append(unit)

    def _listed(self, folder: Unit) -> list[Entry]:
        entries = self._ends.at("source", folder.source_path, lambda: self._ends.listed(folder.source))
        self._found.names[folder.destination] = {entry.name for entry in entries}
        return entries

    def _children(self, folder: Unit, entries: list[Entry]) -> list[Unit]:
        """What of a directory is moved. Links and special files are passed over."""
        units = []
        for entry in sorted(entries, key=lambda each: each.name):
            mode = entry.info.st_mode
            self._found.links += stat.S_ISLNK(mode)
            is_directory = stat.S_ISDIR(mode)
            movable = is_directory or stat.S_ISREG(mode)
            if movable and included(self._options.filter_rules, entry.name, is_directory=is_directory):
                units.append(_below(folder, entry.name, is_directory))
        return units

    def _unless_skipped(self, unit: Unit, act: Callable[[], T]) -> T | None:
        """Do it; where the submission allows, a source error is noted and passed over (None)."""
        try:
            return act()
        except FaultError as fault:
            if not (fault.skippable and self._options.skip_source_errors):
                raise
            self._found.skipped.append(skipped(unit, fault, self._now()))
            return None


def skipped(unit: Unit, fault: FaultError, now: float) -> Skipped:
    return Skipped(
        source_path=unit.source_path,
        destination_path=unit.destination_path,
        code=fault.code,
        details=fault.details,
        time=now,
        is_directory=unit.is_directory,
        external_checksum=unit.item.external_checksum,
        algorithm=unit.item.checksum_algorithm,
    )


def _as_directory(unit: Unit) -> Unit:
    return Unit(
        item=unit.item,
        source=unit.source,
        destination=unit.destination,
        source_path=unit.source_path,
        destination_path=unit.destination_path,
        is_directory=True,
    )


def _below(folder: Unit, name: str, is_directory: bool) -> Unit:
    tail = name + "/" if is_directory else name
    return Unit(
        item=folder.item,
        source=(*folder.source, name),
        destination=(*folder.destination, name),
        source_path=folder.source_path.rstrip("/") + "/" + tail,
        destination_path=folder.destination_path.rstrip("/") + "/" + tail,
        is_directory=is_directory,
    )
