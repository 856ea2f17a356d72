"""The work of a transfer task: scan what is to be moved, then move it, and try again what failed."""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from emulators.globus import copying
from emulators.globus.access import allows
from emulators.globus.deleting import remove_tree
from emulators.globus.places import Place
from emulators.globus.roots import BadPathError, Draft, Entry
from emulators.globus.run_errors import FaultError, StopError, fault_of
from emulators.globus.task_models import FilterRule, Item, Moved, Side, Skipped

if TYPE_CHECKING:
    from emulators.globus.task_runs import Run

T = TypeVar("T")
Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One file to move, or one directory to make."""

    item: Item
    source: Parts
    destination: Parts
    source_path: str
    destination_path: str
    is_directory: bool


def transfer(run: Run) -> None:
    """Move everything, however long it takes."""
    _Transfer(run).go()


def included(rules: tuple[FilterRule, ...], name: str, *, is_directory: bool) -> bool:
    """Whether the rules let a name pass: the first that matches decides, and what none matches is included."""
    kind = "dir" if is_directory else "file"
    for rule in rules:
        if rule.type in (None, kind) and fnmatch.fnmatchcase(name, rule.name):
            return rule.method == "include"
    return True


class _Transfer:
    def __init__(self, run: Run) -> None:
        self.run, self.task, self.world = run, run.task, run.world
        assert run.task.destination is not None
        source, destination = (self.world.places.known(each) for each in (run.task.source, run.task.destination))
        assert source is not None
        assert destination is not None
        self.source: Place = source
        self.destination: Place = destination
        self.account = self.world.account(run.task.owner)
        self.used = 0
        self.seen: dict[tuple[Item, Parts], set[str]] = {}
        self.overhead, self.bandwidth = self._model()

    def _model(self) -> tuple[float, float]:
        settings = self.world.settings
        both = (self.source.collection, self.destination.collection)
        overhead = max(settings.overhead if each.overhead is None else each.overhead for each in both)
        bandwidth = min(settings.bandwidth if each.bandwidth is None else each.bandwidth for each in both)
        return overhead, bandwidth

    def go(self) -> None:
        self.run.pace(self.overhead)
        units: list[Unit] = []
        self._until_done(list(self.task.items), lambda item: units.extend(self._scan(item)))
        with self.world.lock:
            self.task.directories = sum(unit.is_directory for unit in units)
            self.task.files = len(units) - self.task.directories
            self.task.units_done += 1
        self._until_done(units, self._move)
        if self.task.options.delete_destination_extra:
            self._until_done(list(self.seen), self._delete_extra)

    def _until_done(self, units: list[T], act: Callable[[T], None]) -> None:
        """Act on each; those that fail are tried again, all together, until none is left."""
        while units:
            self._measure()
            failed: list[T] = []
            for unit in units:
                self.run.pace(0)
                try:
                    act(unit)
                except FaultError as fault:
                    self._failed(fault)
                    failed.append(unit)
            if failed:
                self.run.retry(len(failed))
            elif self.task.nice_status != "OK":
                self.run.better()
            units = failed

    def _failed(self, fault: FaultError) -> None:
        self.run.fault(fault)
        if fault.code == self.world.settings.quota_code and self.task.options.fail_on_quota_errors:
            raise StopError("failed", fault.code, fault.details)

    def _measure(self) -> None:
        if self.destination.quota is not None:
            self.used = self.destination.root.used()

    # -- scanning ------------------------------------------------------------------------------------------

    def _scan(self, item: Item) -> list[Unit]:
        """The units of an item. A directory's contents go into the destination directory."""
        source = self._at("source", item.source_path, lambda: self.source.parts(item.source_path))
        target = self._at("destination", item.destination_path, lambda: self.destination.parts(item.destination_path))
        info = self._skippable(item, False, lambda: self._stat(source, item.source_path))
        if info is None:
            return []
        is_directory = stat.S_ISDIR(info.st_mode)
        if is_directory and item.recursive is False:
            raise self._fault(errno.EISDIR, "source", item.source_path)
        if not is_directory and (item.recursive is True or item.source_path.endswith("/")):
            raise self._mismatch(item.source_path)
        if not is_directory and item.destination_path.endswith("/"):
            raise self._fault(errno.EISDIR, "destination", item.destination_path)
        unit = Unit(
            item=item,
            source=source,
            destination=target,
            source_path=item.source_path,
            destination_path=item.destination_path,
            is_directory=is_directory,
        )
        return self._tree(unit) if is_directory else [unit]

    def _mismatch(self, path: str) -> FaultError:
        """A file where a directory was said to be. Not a missing file: nobody may skip it."""
        return FaultError(self.world.settings.not_a_directory_code, f"{path} is not a directory", "source")

    def _tree(self, top: Unit) -> list[Unit]:
        """A directory and all below it, parents before children. Links and special files are passed over."""
        found, waiting = [top], [top]
        while waiting:
            folder = waiting.pop()
            self.run.pace(0)
            below = self._skippable(folder.item, True, lambda f=folder: self._children(f), at=folder)  # type: ignore[misc]
            for unit in below or []:
                found.append(unit)
                if unit.is_directory:
                    waiting.append(unit)
        return found

    def _children(self, folder: Unit) -> list[Unit]:
        entries = self._at("source", folder.source_path, lambda: self._listed(folder))
        rules = self.task.options.filter_rules
        units = []
        for entry in sorted(entries, key=lambda each: each.name):
            is_directory = stat.S_ISDIR(entry.info.st_mode)
            if stat.S_ISLNK(entry.info.st_mode):
                with self.world.lock:
                    self.task.symlinks += 1
                continue
            if not is_directory and not stat.S_ISREG(entry.info.st_mode):
                continue
            if included(rules, entry.name, is_directory=is_directory):
                units.append(_below(folder, entry.name, is_directory))
        self.seen[folder.item, folder.destination] = {entry.name for entry in entries}
        return units

    def _listed(self, folder: Unit) -> list[Entry]:
        self._permitted("source", folder.source, write=False)
        if not self.source.root.stat(folder.source).st_mode & stat.S_IRUSR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return self.source.root.listing(folder.source)

    def _stat(self, parts: Parts, path: str) -> os.stat_result:
        def act() -> os.stat_result:
            self._permitted("source", parts, write=False)
            return self.source.root.stat(parts)

        return self._at("source", path, act)

    # -- moving --------------------------------------------------------------------------------------------

    def _move(self, unit: Unit) -> None:
        self._injected(unit)
        if unit.is_directory:
            self._at("destination", unit.destination_path, lambda: self._make(unit.destination))
        elif self._skippable(unit.item, False, lambda: self._move_file(unit), at=unit) is None:
            return
        with self.world.lock:
            self.task.units_done += 1

    def _make(self, parts: Parts) -> None:
        self._permitted("destination", parts, write=True)
        self.destination.root.ensure_directory(parts)

    def _injected(self, unit: Unit) -> None:
        with self.world.lock:
            fault = self.world.faults.for_file(unit.source_path, corrupt=False)
        if fault is not None:
            code = fault.code or "ENDPOINT_ERROR"
            raise FaultError(code, f"{unit.source_path}: fault on order", "source", skippable=code == "FILE_NOT_FOUND")

    def _move_file(self, unit: Unit) -> bool:
        """Move one file unless the sync level says that it is there. Always True: it is settled."""
        self._at("source", unit.source_path, lambda: self._permitted("source", unit.source, write=False))
        source = self._at("source", unit.source_path, lambda: self._opened(unit.source))
        with source:
            size = os.fstat(source.fileno()).st_size
            if self._same(unit, source):
                with self.world.lock:
                    self.task.files_skipped += 1
                return True
            found = self._copy(unit, source, size)
        algorithm = self._algorithm(unit.item)
        with self.world.lock:
            self.task.files_transferred += 1
            self.task.moved.append(
                Moved(
                    source_path=unit.source_path,
                    destination_path=unit.destination_path,
                    size=size,
                    checksum=found,
                    algorithm=algorithm if found is not None else None,
                )
            )
        return True

    def _opened(self, parts: Parts) -> BinaryIO:
        file = self.source.root.read(parts)
        if not os.fstat(file.fileno()).st_mode & stat.S_IRUSR:  # a superuser would read it all the same
            file.close()
            raise PermissionError(errno.EACCES, "Permission denied")
        return file

    def _algorithm(self, item: Item) -> str:
        return (item.checksum_algorithm or "MD5").upper().replace("-", "")

    def _copy(self, unit: Unit, source: BinaryIO, size: int) -> str | None:
        options, path = self.task.options, unit.destination_path
        if self.destination.quota is not None and self.used + size > self.destination.quota:
            raise self._fault(errno.EDQUOT, "destination", path)
        with self.world.lock:
            corrupt = self.world.faults.for_file(unit.source_path, corrupt=True) is not None
        plan = copying.CopyPlan(
            algorithm=self._algorithm(unit.item),
            hashing=options.verify_checksum or options.sync_level == 3 or unit.item.external_checksum is not None,
            verify=options.verify_checksum,
            external_checksum=unit.item.external_checksum,
            preserve_times=options.preserve_timestamp,
            corrupt=corrupt,
        )
        try:
            with self._at("destination", path, lambda: self._draft(unit.destination)) as draft:
                found = copying.copy(source, draft, plan, self._moved, self._checked)
        except copying.ChecksumError as error:
            raise FaultError("VERIFY_CHECKSUM", f"{path}: checksums differ", "destination") from error
        except copying.SizeChangedError as error:
            raise FaultError("FILE_SIZE_CHANGED", f"{unit.source_path}: changed while read", "source") from error
        except copying.ExternalChecksumError as error:
            details = f"{unit.source_path}: differs from the external checksum"
            self.run.fault(FaultError("VERIFY_CHECKSUM", details, "source"))
            raise StopError("failed", "VERIFY_CHECKSUM", details) from error
        except OSError as error:
            raise self._translated(error, "destination", path) from error
        self.used += size
        return found

    def _draft(self, parts: Parts) -> Draft:
        self._permitted("destination", parts, write=True)
        self.destination.root.ensure_directory(parts[:-1])
        return self.destination.root.draft(parts)

    def _moved(self, count: int) -> None:
        with self.world.lock:
            self.task.bytes_transferred += count
        self.run.pace(count / self.bandwidth)

    def _checked(self, count: int) -> None:
        with self.world.lock:
            self.task.bytes_checksummed += count
            self.run.check()

    def _same(self, unit: Unit, source: BinaryIO) -> bool:
        """Whether the sync level finds the destination good enough to leave alone."""
        level = self.task.options.sync_level
        if level is None:
            return False
        try:
            there = self.destination.root.stat(unit.destination)
        except OSError:
            return False
        if stat.S_ISDIR(there.st_mode):
            return False
        here = os.fstat(source.fileno())
        if level == 0:
            return True
        if here.st_size != there.st_size:
            return False
        if level == 1:
            return True
        if level == 2:
            return int(there.st_mtime) >= int(here.st_mtime)
        with self.destination.root.read(unit.destination) as other:
            same = copying.checksum(source, "MD5", self._checked) == copying.checksum(other, "MD5", self._checked)
        source.seek(0)
        return same

    # -- deleting what the source does not have ------------------------------------------------------------

    def _delete_extra(self, key: tuple[Item, Parts]) -> None:
        """Remove what the source directory does not have; what the rules leave out stays."""
        _, folder = key
        names, rules = self.seen[key], self.task.options.filter_rules
        path = "/" + "/".join(folder)

        def act() -> None:
            self._permitted("destination", folder, write=True)
            for entry in self.destination.root.listing(folder):
                is_directory = stat.S_ISDIR(entry.info.st_mode)
                if entry.name not in names and included(rules, entry.name, is_directory=is_directory):
                    remove_tree(self.run, self.destination, (*folder, entry.name))

        self._at("destination", path, act)

    # -- faults --------------------------------------------------------------------------------------------

    def _permitted(self, side: Side, parts: Parts, *, write: bool) -> None:
        place = self.source if side == "source" else self.destination
        if not allows(self.world, self.account, place.collection, parts, write=write):
            raise PermissionError(errno.EACCES, "Path not allowed.")

    def _at(self, side: Side, path: str, act: Callable[[], T]) -> T:
        """Do it; an error of the file system becomes a fault of this side."""
        try:
            return act()
        except OSError as error:
            raise self._translated(error, side, path) from error
        except BadPathError as error:
            raise self._fault(errno.ENOENT, side, path) from error

    def _translated(self, error: OSError, side: Side, path: str) -> FaultError:
        return fault_of(error, side, path, self.world.settings)

    def _fault(self, number: int, side: Side, path: str) -> FaultError:
        return self._translated(OSError(number, os.strerror(number)), side, path)

    def _skippable(self, item: Item, is_directory: bool, act: Callable[[], T], at: Unit | None = None) -> T | None:
        """Do it; where the submission allows, a source error is recorded and passed over (None)."""
        try:
            return act()
        except FaultError as fault:
            if not (fault.skippable and self.task.options.skip_source_errors):
                raise
            with self.world.lock:
                self.task.skipped.append(
                    Skipped(
                        source_path=at.source_path if at else item.source_path,
                        destination_path=at.destination_path if at else item.destination_path,
                        code=fault.code,
                        details=fault.details,
                        time=self.world.now(),
                        is_directory=is_directory,
                        external_checksum=item.external_checksum,
                        algorithm=item.checksum_algorithm,
                    )
                )
            return None


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
