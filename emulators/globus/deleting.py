"""The work of a delete task. Links are removed, never followed; a missing path fails the task at once."""

from __future__ import annotations

import errno
import fnmatch
import stat
from typing import TYPE_CHECKING

from emulators.globus.access import allows
from emulators.globus.places import Place
from emulators.globus.roots import BadPathError
from emulators.globus.run_errors import StopError, fault_of

if TYPE_CHECKING:
    from emulators.globus.task_runs import Run

Parts = tuple[str, ...]


def delete(run: Run) -> None:
    """Delete every item. Any fault is final: a delete task is not retried."""
    task, world = run.task, run.world
    place = world.places.known(task.source)
    assert place is not None
    run.pace(world.settings.overhead)
    with world.lock:
        task.files = len(task.items)
        task.units_done = 1
    for item in task.items:
        run.pace(0)
        try:
            for parts in _matching(run, place, item.source_path):
                _delete_one(run, place, parts)
        except FileNotFoundError as error:
            if task.options.ignore_missing:
                with world.lock:
                    task.files_skipped += 1
                continue
            raise _final(run, error, item.source_path) from error
        except OSError as error:
            raise _final(run, error, item.source_path) from error
        except BadPathError as error:
            raise StopError("failed", "FILE_NOT_FOUND", str(error)) from error
        with world.lock:
            task.units_done += 1


def _final(run: Run, error: OSError, path: str) -> StopError:
    fault = fault_of(error, "source", path, run.world.settings)
    run.fault(fault)
    return StopError("failed", fault.code, fault.code.replace("_", " ").lower())


def _matching(run: Run, place: Place, path: str) -> list[Parts]:
    """The places an item names: one, or (where globs are interpreted) all that its last name matches."""
    parts = place.parts(path)
    if not run.task.options.interpret_globs or not parts or not any(sign in parts[-1] for sign in "*?["):
        return [parts]
    above, pattern = parts[:-1], parts[-1]
    names = [each.name for each in place.root.listing(above) if fnmatch.fnmatchcase(each.name, pattern)]
    if not names:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")
    return [(*above, name) for name in sorted(names)]


def _delete_one(run: Run, place: Place, parts: Parts) -> None:
    if not allows(run.world, run.world.account(run.task.owner), place.collection, parts, write=True):
        raise PermissionError(errno.EACCES, "Path not allowed.")
    is_directory = stat.S_ISDIR(place.root.stat(parts, follow=False).st_mode)
    if is_directory and run.task.options.recursive is False:
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    remove_tree(run, place, parts)


def remove_tree(run: Run, place: Place, parts: Parts) -> None:
    """Remove a file, a link, or a directory with all in it. The collection's root itself is only emptied."""
    waiting = [(parts, False)]
    while waiting:
        here, emptied = waiting.pop()
        if not emptied and stat.S_ISDIR(place.root.stat(here, follow=False).st_mode):
            run.pace(0)
            waiting.append((here, True))
            waiting += [((*here, entry.name), False) for entry in place.root.listing(here)]
        elif here:
            place.root.remove(here)
