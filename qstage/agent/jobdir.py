"""A job's directory at the site, by file descriptors from one of the policy's directories down.

No step follows a link: not on the way in, not when writing, not when counting outputs, not when removing. What
the agent knows of a job lies in ``.qstage`` inside it:

    .qstage/job      whose directory this is (JSON: job, id, site); one of another job is never touched
    .qstage/run.sh   what the scheduler runs
    .qstage/run/     made once, by whoever may run: native_id (empty: the agent, so that nobody runs), started
    .qstage/exit     the command's exit status and the second it ended
    .qstage/early    made by a run script that was started before the data was there, and refused

Of a later attempt the last four bear its number (``run.2``).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qstage.agent.policy import OUR_OWN, Policy, relative_parts, split_directory
from qstage.agent.rules import ExitNote, RunMarker, of_attempt
from qstage.agent.wire import Kind

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_LINKS = 20
_TAIL = 4096
"""Bytes of output that a report carries at most."""


class DirectoryRefused(Exception):
    """The directory or a path in it cannot be used for this job; the message is for the job's owner."""


class NoDirectory(DirectoryRefused):
    """There is no such directory."""


class JobDirectory:
    """One attempt's view of a job's directory, open. Make one by ``open_directory``; it ends with its block."""

    def __init__(self, fd: int, parent: int, path: str, attempt: int = 1) -> None:
        self.fd = fd
        self.path = path
        self._parent = parent
        names = ("run.sh", "run", "exit", "early")
        self._script, self._run, self._exit, self._early = (of_attempt(name, attempt) for name in names)

    # Whose it is

    def claim(self, job: str, number: int, site: str) -> None:
        """Make the directory this job's. A repeat changes nothing; another job's is refused."""
        mine = {"job": job, "id": number, "site": site}
        owner = self.owner()
        if owner is not None:
            if (owner.get("job"), owner.get("site")) != (job, site):
                raise DirectoryRefused(f"{self.path} belongs to job {owner.get('job')} of {owner.get('site')}")
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(OUR_OWN, 0o700, dir_fd=self.fd)
        os.fchmod(self.fd, 0o700)
        self._write((OUR_OWN, "job"), json.dumps(mine).encode(), 0o600)

    def check_claim(self, job: str) -> None:
        """Raise unless this directory bears this job's mark."""
        owner = self.owner()
        if owner is None or owner.get("job") != job:
            raise DirectoryRefused(f"{self.path} does not bear this job's mark: nothing was touched")

    def owner(self) -> dict[str, object] | None:
        """The job that claimed this directory; None when none did."""
        text = self._read_own("job")
        if text is None:
            return None
        try:
            mark = json.loads(text)
        except ValueError:
            mark = None
        return mark if isinstance(mark, dict) else {"job": "unreadable"}

    # What goes in

    def write_file(self, path: str, content: bytes, mode: int) -> None:
        """Write a file of the document, with its mode; what is there is replaced, a link included."""
        self._write(self._parts(path), content, mode)

    def write_run_script(self, text: str) -> str:
        """Write what the scheduler runs; return its absolute path."""
        self._write((OUR_OWN, self._script), text.encode(), 0o700)
        return f"{self.path}/{OUR_OWN}/{self._script}"

    def set_mode(self, path: str, mode: int) -> None:
        """Give a staged file its mode. Raises for one that is missing or a link."""
        *above, name = self._parts(path)
        with self._walk(above, create=False) as directory, _opened(name, _READ, directory, path) as fd:
            os.fchmod(fd, mode)

    def link(self, path: str, target: str, roots: tuple[str, ...]) -> None:
        """Link to data that is at the site. The target must be there, and under a root when links are resolved."""
        real = Path(os.path.realpath(target))
        if not real.exists():
            raise DirectoryRefused(f"{target} to be linked as {path} is not at this site")
        if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
            raise DirectoryRefused(f"{target} to be linked as {path} leads out of this site's roots, to {real}")
        *above, name = self._parts(path)
        with self._walk(above, create=True) as directory:
            try:
                os.symlink(target.rstrip("/") or "/", name, dir_fd=directory)
            except FileExistsError:
                if _link_target(name, directory) != (target.rstrip("/") or "/"):
                    raise DirectoryRefused(f"{path}: something else is there already") from None

    def make_parents(self, path: str) -> None:
        """Make the directories above ``path``."""
        *above, _ = self._parts(path)
        with self._walk(above, create=True):
            pass

    # How it goes

    def has_run_script(self) -> bool:
        """Whether this job was about to be submitted once before."""
        return self._read_own(self._script) is not None

    def run_marker(self) -> RunMarker | None:
        """Who runs the job, or ran it."""
        try:
            with self._walk((OUR_OWN, self._run), create=False) as directory:
                native = _read_text("native_id", directory)
                started = _read_text("started", directory)
        except NoDirectory:
            return None
        if native is None:
            return None
        # The job could have written here: what is not a number is no time.
        words = (started or "").strip()
        return RunMarker(native_id=native.strip() or None, started=float(words) if _is_number(words) else 0.0)

    def exit_note(self) -> ExitNote | None:
        """How the command ended; None as long as it has not, or did not live to say so."""
        text = self._read_own(self._exit)
        words = (text or "").split()
        if len(words) != 2 or not all(_is_number(word) for word in words):
            return None
        return ExitNote(code=int(words[0]), ended=float(words[1]))

    def was_early(self) -> bool:
        """Whether the job was started before its data was there, and refused to run."""
        return self._read_own(self._early) is not None

    def block(self, now: float) -> None:
        """Take the right to run, so that nobody does. No effect on a job that has begun."""
        draft = f"run.{uuid.uuid4().hex}"
        try:
            with self._walk((OUR_OWN,), create=False) as own:
                os.mkdir(draft, 0o700, dir_fd=own)
                self._write((OUR_OWN, draft, "native_id"), b"\n", 0o600)
                self._write((OUR_OWN, draft, "started"), f"{int(now)}\n".encode(), 0o600)
                try:
                    # Onto a directory that is not empty a rename fails: whoever came first stays.
                    os.rename(draft, self._run, src_dir_fd=own, dst_dir_fd=own)
                except OSError as error:
                    if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                        raise
                    _remove(own, draft)
        except NoDirectory:
            return

    def tail(self, path: str, limit: int = _TAIL) -> str:
        """The last ``limit`` bytes of a file as text; nothing where there is no file of the job's own."""
        parts = relative_parts(path)
        if not parts:
            return ""
        try:
            with self._walk(parts[:-1], create=False) as at, _opened(parts[-1], _READ, at, path) as fd:
                size = os.fstat(fd).st_size
                return _text(os.pread(fd, limit, max(0, size - limit)), cut=size > limit)
        except (DirectoryRefused, OSError):
            return ""

    def count(self, path: str) -> tuple[Kind, int, int, tuple[str, ...]]:
        """Look at an output: kind (file, directory, missing), files, bytes, links that were not followed."""
        parts = relative_parts(path)
        if parts is None:
            return "missing", 0, 0, ()
        if not parts:
            return "directory", *_count(self.fd)
        try:
            with self._walk(parts[:-1], create=False) as at:
                found = os.stat(parts[-1], dir_fd=at, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    return "file", 1, found.st_size, ()
                if stat.S_ISDIR(found.st_mode):
                    with _opened(parts[-1], _DIRECTORY, at, path) as fd:
                        return "directory", *_count(fd)
                return "missing", 0, 0, (path.rstrip("/"),) if stat.S_ISLNK(found.st_mode) else ()
        except (DirectoryRefused, FileNotFoundError):
            return "missing", 0, 0, ()

    # And out

    def remove(self) -> None:
        """Remove the directory and all in it. The claim goes last, so that a removal cut short can go on."""
        _empty(self.fd, keep=OUR_OWN)
        with contextlib.suppress(FileNotFoundError):
            _remove(self.fd, OUR_OWN)
        os.rmdir(os.path.basename(self.path), dir_fd=self._parent)

    def remove_paths(self, paths: tuple[str, ...]) -> None:
        """Remove some paths inside the directory; one that is not there is no error."""
        for path in paths:
            *above, name = self._parts(path)
            try:
                with self._walk(above, create=False) as directory:
                    _remove(directory, name)
            except (NoDirectory, FileNotFoundError):
                continue

    # Steps

    def _parts(self, path: str) -> tuple[str, ...]:
        parts = relative_parts(path)
        if not parts or parts[0] == OUR_OWN:
            raise DirectoryRefused(f"{path!r} is not a path inside the job's directory")
        return parts

    @contextmanager
    def _walk(self, parts: tuple[str, ...] | list[str], *, create: bool) -> Iterator[int]:
        fd = os.dup(self.fd)
        try:
            for part in parts:
                fd = _step(fd, part, create=create, path=f"{self.path}/{'/'.join(parts)}")
            yield fd
        finally:
            os.close(fd)

    def _write(self, parts: tuple[str, ...], content: bytes, mode: int) -> None:
        """Write beside and rename: readers see all or nothing, and a planted link is replaced, not followed."""
        *above, name = parts
        draft = f"draft.{uuid.uuid4().hex}"
        with self._walk([OUR_OWN], create=True) as own, self._walk(above, create=True) as directory:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=own)
            try:
                while content:
                    content = content[os.write(fd, content) :]
                os.fchmod(fd, mode)
                os.fsync(fd)
            finally:
                os.close(fd)
            try:
                os.rename(draft, name, src_dir_fd=own, dst_dir_fd=directory)
            except OSError as error:
                os.unlink(draft, dir_fd=own)
                raise DirectoryRefused(f"{'/'.join(parts)} cannot be written: {error.strerror}") from None

    def _read_own(self, name: str) -> str | None:
        try:
            with self._walk((OUR_OWN,), create=False) as own:
                return _read_text(name, own)
        except NoDirectory:
            return None


@contextmanager
def open_job_directory(path: str, policy: Policy, *, create: bool, attempt: int = 1) -> Iterator[JobDirectory]:
    """Open (or make) the job's directory at ``path``, below one of the policy's directories."""
    place = split_directory(path, policy)
    if place is None:
        raise DirectoryRefused(f"{path} is not in one of this site's directories")
    with open_directory(*place, create=create, attempt=attempt) as directory:
        yield directory


@contextmanager
def open_directory(root: str, parts: tuple[str, ...], *, create: bool, attempt: int = 1) -> Iterator[JobDirectory]:
    """Open (or make) a job's directory, ``parts`` below ``root``.

    Raises ``NoDirectory`` when it is not there, ``DirectoryRefused`` when the way holds a link or when it is not
    the agent's own account's.
    """
    path = "/".join((root.rstrip("/"), *parts))
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DirectoryRefused(f"this site's directory {root} cannot be opened: {error.strerror}") from None
    parent = fd
    try:
        for part in parts:
            if parent != fd:
                os.close(parent)
            parent = fd
            fd = _step(parent, part, create=create, path=path, keep=True)
            if os.fstat(fd).st_uid != os.geteuid():
                raise DirectoryRefused(f"{path}: {part} belongs to another account of this machine")
        yield JobDirectory(fd, parent, path, attempt)
    finally:
        os.close(fd)
        if parent != fd:
            os.close(parent)


def _step(fd: int, part: str, *, create: bool, path: str, keep: bool = False) -> int:
    """Open ``part`` in ``fd`` and, unless ``keep``, close ``fd``: one step down a path."""
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=fd)
    try:
        below = os.open(part, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        raise NoDirectory(f"{path} is not there") from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise DirectoryRefused(f"{path}: {part} is a link or not a directory") from None
        raise
    if not keep:
        os.close(fd)
    return below


@contextmanager
def _opened(name: str, flags: int, directory: int, path: str) -> Iterator[int]:
    try:
        fd = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise DirectoryRefused(f"{path} is not there") from None
    except OSError as error:
        raise DirectoryRefused(f"{path} cannot be opened: {error.strerror}") from None
    try:
        if flags == _READ and not stat.S_ISREG(os.fstat(fd).st_mode):
            raise DirectoryRefused(f"{path} is not a file")
        yield fd
    finally:
        os.close(fd)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 16


def _read_text(name: str, directory: int) -> str | None:
    try:
        with _opened(name, _READ, directory, name) as fd:
            return os.read(fd, 65536).decode("utf-8", "replace")
    except DirectoryRefused:
        return None


def _link_target(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _text(data: bytes, *, cut: bool) -> str:
    """Decode the end of a file: a character cut at the front is left out, what is not UTF-8 is replaced."""
    start = 0
    while cut and start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _count(fd: int) -> tuple[int, int, tuple[str, ...]]:
    """Files, bytes and links below a directory. Links are listed, at most 20, never followed."""
    files, size = 0, 0
    links: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with _below(fd, below) as at, os.scandir(at) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_symlink():
                    links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_size
    return files, size, tuple(_shown(link) for link in sorted(links)[:_MOST_LINKS])


def _shown(name: str) -> str:
    """A name as text: bytes that are not UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


@contextmanager
def _below(fd: int, path: str) -> Iterator[int]:
    at = os.dup(fd)
    try:
        for part in path.split("/") if path else ():
            at = _step(at, part, create=False, path=path)
        yield at
    finally:
        os.close(at)


def _remove(directory: int, name: str) -> None:
    """Remove a file, a link or a whole directory, following nothing."""
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        os.unlink(name, dir_fd=directory)
        return
    try:
        _empty(fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=directory)


def _empty(fd: int, keep: str | None = None) -> None:
    # A job may leave directories that even its owner cannot write in.
    os.fchmod(fd, 0o700)
    with os.scandir(fd) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        if name != keep:
            _remove(fd, name)
