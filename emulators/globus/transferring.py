"""The work of a transfer task: scan what is to be moved, then move it, and try again what failed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from emulators.globus import copying
from emulators.globus.deleting import remove_tree
from emulators.globus.ends import Ends, Parts
from emulators.globus.pace import Link
from emulators.globus.run_errors import FaultError, StopError
from emulators.globus.scanning import Scan, Unit, included, skipped
from emulators.globus.task_models import Item, Moved

if TYPE_CHECKING:
    from emulators.globus.task_runs import Run

T = TypeVar("T")


def transfer(run: Run) -> None:
    """Move everything, however long it takes."""
    _Transfer(run).go()


class _Transfer:
    def __init__(self, run: Run) -> None:
        self.run, self.task, self.world = run, run.task, run.world
        self.ends = Ends(run.world, run.task)
        self.used = 0
        self.names: dict[Parts, set[str]] = {}
        settings, both = self.world.settings, (self.ends.source.collection, self.ends.destination.collection)
        self.link = Link(
            overhead=max(settings.overhead if each.overhead is None else each.overhead for each in both),
            bandwidth=min(settings.bandwidth if each.bandwidth is None else each.bandwidth for each in both),
        )

    def go(self) -> None:
        self.run.pace(self.link.overhead)
        units: list[Unit] = []
        self._until_done(list(self.task.items), lambda item: units.extend(self._scan(item)))
        with self.world.lock:
            self.task.units_done += 1
        self._until_done(units, self._move)
        if self.task.options.delete_destination_extra:
            self._until_done(list(self.names), self._delete_extra)

    def _until_done(self, units: list[T], act: Callable[[T], None]) -> None:
        """Act on each; those that fail are tried again, all together, until none is left."""
        while units:
            if self.ends.destination.quota is not None:
                self.used = self.ends.destination.root.used()
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

    def _scan(self, item: Item) -> list[Unit]:
        code = self.world.settings.not_a_directory_code
        scan = Scan(self.ends, self.task.options, code, step=lambda: self.run.pace(0), now=self.world.now)
        found = scan.item(item)
        directories = sum(unit.is_directory for unit in found.units)
        self.names |= found.names
        with self.world.lock:
            self.task.directories += directories
            self.task.files += len(found.units) - directories
            self.task.symlinks += found.links
            self.task.units_lost += len(found.skipped)
            self.task.skipped += found.skipped
        return found.units

    # -- moving --------------------------------------------------------------------------------------------

    def _move(self, unit: Unit) -> None:
        try:
            self._injected(unit)
            if unit.is_directory:
                self.ends.at("destination", unit.destination_path, lambda: self.ends.make(unit.destination))
            else:
                self._move_file(unit)
        except FaultError as fault:
            if not (fault.skippable and self.task.options.skip_source_errors):
                raise
            with self.world.lock:
                self.task.skipped.append(skipped(unit, fault, self.world.now()))
            return
        with self.world.lock:
            self.task.units_done += 1

    def _injected(self, unit: Unit) -> None:
        with self.world.lock:
            fault = self.world.faults.for_file(unit.source_path, corrupt=False)
        if fault is not None:
            code = fault.code or "ENDPOINT_ERROR"
            skippable = code in ("FILE_NOT_FOUND", "PERMISSION_DENIED")
            raise FaultError(code, f"{unit.source_path}: fault on order", "source", skippable=skippable)

    def _move_file(self, unit: Unit) -> None:
        """Move one file unless the sync level says that it is there."""
        with self.ends.at("source", unit.source_path, lambda: self.ends.opened(unit.source)) as source:
            size = os.fstat(source.fileno()).st_size
            if self._same(unit, source):
                with self.world.lock:
                    self.task.files_skipped += 1
                return
            found = self._copy(unit, source, size)
        moved = Moved(
            source_path=unit.source_path,
            destination_path=unit.destination_path,
            size=size,
            checksum=found,
            algorithm=_algorithm(unit.item) if found is not None else None,
        )
        with self.world.lock:
            self.task.files_transferred += 1
            self.task.moved.append(moved)

    def _copy(self, unit: Unit, source: BinaryIO, size: int) -> str | None:
        path, quota = unit.destination_path, self.ends.destination.quota
        if quota is not None and self.used + size > quota:
            raise self.ends.fault(errno.EDQUOT, "destination", path)
        try:
            with self.ends.at("destination", path, lambda: self.ends.draft(unit.destination)) as draft:
                found = copying.copy(source, draft, self._plan(unit), self._moved, self._checked)
        except copying.ChecksumError as error:
            raise FaultError("VERIFY_CHECKSUM", f"{path}: checksums differ", "destination") from error
        except copying.SizeChangedError as error:
            raise FaultError("FILE_SIZE_CHANGED", f"{unit.source_path}: changed while read", "source") from error
        except copying.ExternalChecksumError as error:
            fault = FaultError("VERIFY_CHECKSUM", f"{unit.source_path}: not as its external checksum says", "source")
            self.run.fault(fault)
            raise StopError("failed", fault.code, fault.details) from error
        except OSError as error:
            raise self.ends.translated(error, "destination", path) from error
        self.used += size
        return found

    def _plan(self, unit: Unit) -> copying.CopyPlan:
        options, external = self.task.options, unit.item.external_checksum
        with self.world.lock:
            corrupt = self.world.faults.for_file(unit.source_path, corrupt=True) is not None
        return copying.CopyPlan(
            algorithm=_algorithm(unit.item),
            hashing=options.verify_checksum or options.sync_level == 3 or external is not None,
            verify=options.verify_checksum,
            external_checksum=external,
            preserve_times=options.preserve_timestamp,
            corrupt=corrupt,
        )

    def _moved(self, count: int) -> None:
        with self.world.lock:
            self.task.bytes_transferred += count
        self.run.pace(self.link.moving(count))

    def _checked(self, count: int) -> None:
        with self.world.lock:
            self.task.bytes_checksummed += count
            self.run.check()

    def _same(self, unit: Unit, source: BinaryIO) -> bool:
        """Whether the sync level finds the destination good enough to leave alone."""
        level, root = self.task.options.sync_level, self.ends.destination.root
        if level is None:
            return False
        try:
            there = root.stat(unit.destination)
        except OSError:
            return False
        here = os.fstat(source.fileno())
        if stat.S_ISDIR(there.st_mode) or (level > 0 and here.st_size != there.st_size):
            return False
        if level == 2:
            return int(there.st_mtime) >= int(here.st_mtime)
        if level < 3:
            return True
        with root.read(unit.destination) as other:
            same = copying.checksum(source, "MD5", self._checked) == copying.checksum(other, "MD5", self._checked)
        source.seek(0)
        return same

    # -- deleting what the source does not have ------------------------------------------------------------

    def _delete_extra(self, folder: Parts) -> None:
        """Remove what the source directory does not have; what the rules leave out stays."""
        names, rules, place = self.names[folder], self.task.options.filter_rules, self.ends.destination

        def act() -> None:
            self.ends.permitted("destination", folder, write=True)
            for entry in place.root.listing(folder):
                is_directory = stat.S_ISDIR(entry.info.st_mode)
                if entry.name not in names and included(rules, entry.name, is_directory=is_directory):
                    remove_tree(self.run, place, (*folder, entry.name))

        self.ends.at("destination", "/" + "/".join(folder), act)


def _algorithm(item: Item) -> str:
    return (item.checksum_algorithm or "MD5").upper().replace("-", "")
