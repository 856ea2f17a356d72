"""File access below one directory and nowhere else.

Every step of a path is opened by itself without following links, from the directory above it, so no ``..``, no link
and no race leads outside. A link is followed only where the caller says so and only while it stays inside. A file is
written under a reserved name and renamed when it is whole; reserved names cannot be read, listed or named.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emulators.globus.ids import opaque

RESERVED = ".globus-emulator-part-"
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINK_BUDGET = 20


class BadPathError(ValueError):
    """The path cannot name anything: a NUL, a lone surrogate, a name too long."""


class OutsideError(PermissionError):
    """The path, or a link on it, leads out of the collection."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "Path not allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a directory. ``target`` is set for a link; ``info`` is then the link's own."""

    name: str
    info: os.stat_result
    target: str | None = None
    followed: os.stat_result | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the tree: the open directory above and the name in it (``.`` for the root itself)."""

    directory: int
    name: str

    def stat(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)


def parts_of(path: str, default_directory: str = "/") -> tuple[str, ...]:
    """The names of a path from the collection's root. ``~`` is the default directory. Raises ``OutsideError``."""
    if "\0" in path:
        raise BadPathError("a path has no NUL")
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise BadPathError("a path is text") from error
    names = path.lstrip("/").split("/")
    if names[0] == "~" or not path.startswith("/"):
        rest = names[1:] if names[0] == "~" else names
        names = [*default_directory.split("/"), *rest]
    parts: list[str] = []
    for name in names:
        _step(parts, name)
    return tuple(parts)


def _step(parts: list[str], name: str) -> None:
    if name == "..":
        if not parts:
            raise OutsideError
        parts.pop()
    elif name not in ("", "."):
        if name.startswith(RESERVED):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        parts.append(name)


class Root:
    """One collection's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @contextlib.contextmanager
    def spot(self, parts: tuple[str, ...], *, follow: bool) -> Iterator[Spot]:
        """Go to a place. Raises ``OSError`` as the system does, and ``OutsideError``."""
        pending, done, links = list(parts), list[str](), 0
        directory = os.open(self.path, _OPEN_DIR & ~os.O_NOFOLLOW)
        try:
            while len(pending) > 1 or (follow and pending):
                name = pending[0]
                target = _link_target(directory, name)
                if target is not None:
                    links += 1
                    if links > _LINK_BUDGET:
                        raise OSError(errno.ELOOP, "Too many levels of symbolic links")
                    pending, done = self._redirected(done, target, pending[1:]), []
                    os.close(directory)
                    directory = os.open(self.path, _OPEN_DIR & ~os.O_NOFOLLOW)
                elif len(pending) == 1:
                    break
                else:
                    below = os.open(name, _OPEN_DIR, dir_fd=directory)
                    os.close(directory)
                    directory = below
                    done.append(pending.pop(0))
            yield Spot(directory, pending[0] if pending else ".")
        finally:
            os.close(directory)

    def _redirected(self, done: list[str], target: str, rest: list[str]) -> list[str]:
        """The names to walk instead of a link: from the root again, all inside it."""
        if target.startswith("/"):
            inside = os.path.relpath(target, self.path)
            parts: list[str] = []
            names = inside.split("/")
        else:
            parts, names = list(done), target.split("/")
        for name in (*names, *rest):
            _step(parts, name)
        return parts

    def stat(self, parts: tuple[str, ...], *, follow: bool = True) -> os.stat_result:
        with self.spot(parts, follow=follow) as spot:
            return spot.stat()

    def entry(self, parts: tuple[str, ...]) -> Entry:
        """One place as a listing shows it."""
        with self.spot(parts, follow=False) as spot:
            return self._entry(spot.name if parts else "/", parts, spot.stat(), spot.directory)

    def listing(self, parts: tuple[str, ...]) -> list[Entry]:
        """What is in a directory, in the system's order. Raises ``NotADirectoryError`` for a file."""
        with self.directory(parts) as directory, os.scandir(directory) as found:
            names = [each.name for each in found if not each.name.startswith(RESERVED)]
            return [entry for name in names if (entry := self._child(directory, parts, name)) is not None]

    def _child(self, directory: int, parts: tuple[str, ...], name: str) -> Entry | None:
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:  # gone since it was listed
            return None
        return self._entry(name, (*parts, name), info, directory)

    def _entry(self, name: str, parts: tuple[str, ...], info: os.stat_result, directory: int) -> Entry:
        if not stat.S_ISLNK(info.st_mode):
            return Entry(name=name, info=info)
        target = os.readlink(parts[-1], dir_fd=directory)
        try:
            followed = self.stat(parts)
        except OSError:
            followed = None
        return Entry(name=name, info=info, target=target, followed=followed)

    @contextlib.contextmanager
    def directory(self, parts: tuple[str, ...]) -> Iterator[int]:
        """An open directory, links on the way followed."""
        with self.spot(parts, follow=True) as spot:
            opened = os.open(spot.name, _OPEN_DIR, dir_fd=spot.directory)
        try:
            yield opened
        finally:
            os.close(opened)

    def read(self, parts: tuple[str, ...]) -> BinaryIO:
        """Open a regular file for reading. A link is followed. Raises ``IsADirectoryError`` for a directory."""
        with self.spot(parts, follow=True) as spot:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            opened = os.open(spot.name, flags, dir_fd=spot.directory)
        mode = os.fstat(opened).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(opened, "rb")
        os.close(opened)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        raise OSError(errno.EINVAL, "Not a regular file")

    def make_directory(self, parts: tuple[str, ...]) -> None:
        """Make one directory; the one above must be there."""
        if not parts:
            raise FileExistsError(errno.EEXIST, "File exists")
        with self.spot(parts, follow=False) as spot:
            os.mkdir(spot.name, 0o755, dir_fd=spot.directory)

    def ensure_directory(self, parts: tuple[str, ...]) -> None:
        """Make a directory with all above it; those that are there stay as they are."""
        there = len(parts) if self._is_there(parts) else self._depth_there(parts)
        with self.directory(parts[:there]) as above:
            directory = os.dup(above)
        try:
            for name in parts[there:]:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=directory)
                below = os.open(name, _OPEN_DIR, dir_fd=directory)
                os.close(directory)
                directory = below
        finally:
            os.close(directory)

    def _depth_there(self, parts: tuple[str, ...]) -> int:
        """How many names of a path that is not there lead to a directory that is."""
        return bisect.bisect_left(range(1, len(parts)), True, key=lambda depth: not self._is_there(parts[:depth]))

    def _is_there(self, parts: tuple[str, ...]) -> bool:
        try:
            with self.directory(parts):
                return True
        except FileNotFoundError:
            return False

    def rename(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """Give a file or directory another name. What is there already is never overwritten."""
        if not old or not new:
            raise OutsideError
        with self.spot(old, follow=False) as source, self.spot(new, follow=False) as target:
            source.stat()
            try:
                target.stat()
            except FileNotFoundError:
                os.rename(source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory)
                return
        raise FileExistsError(errno.EEXIST, "File exists")

    def remove(self, parts: tuple[str, ...]) -> None:
        """Remove a file, a link (never what it leads to) or an empty directory."""
        if not parts:
            raise OutsideError
        with self.spot(parts, follow=False) as spot:
            if stat.S_ISDIR(spot.stat().st_mode):
                os.rmdir(spot.name, dir_fd=spot.directory)
            else:
                os.unlink(spot.name, dir_fd=spot.directory)

    def draft(self, parts: tuple[str, ...]) -> Draft:
        """Begin to write a file. Raises ``IsADirectoryError`` where a directory stands."""
        if not parts:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        with self.spot(parts, follow=True) as spot:
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                before = spot.stat().st_mode
                if stat.S_ISDIR(before):
                    raise IsADirectoryError(errno.EISDIR, "Is a directory")
                mode = stat.S_IMODE(before) & 0o777
            return Draft(os.dup(spot.directory), spot.name, mode)

    def used(self) -> int:
        """Bytes of all regular files below."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    info = os.lstat(os.path.join(folder, name))
                    total += info.st_size if stat.S_ISREG(info.st_mode) else 0
        return total


class Draft:
    """A file being written. Nobody sees it before ``commit``; left uncommitted, it vanishes."""

    def __init__(self, directory: int, name: str, mode: int) -> None:
        self._directory, self._name, self._mode = directory, name, mode
        self._part = RESERVED + opaque(12)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.file = os.fdopen(os.open(self._part, flags, 0o600, dir_fd=directory), "w+b")
        except OSError:
            os.close(directory)
            raise
        self._whole = False

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if not self._whole:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=self._directory)
        os.close(self._directory)

    def commit(self, times: tuple[int, int] | None) -> None:
        """Put the file under its name. ``times`` are (access, modification) in nanoseconds."""
        self.file.flush()
        os.fchmod(self.file.fileno(), self._mode)
        if times is not None:
            os.utime(self.file.fileno(), ns=times)
        os.rename(self._part, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._whole = True


def _link_target(directory: int, name: str) -> str | None:
    """What a link says, or None if the name is no link (or is not there)."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
            return None
        raise
