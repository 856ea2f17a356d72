"""What this site lets the service do. Pure, and decided here alone: the service cannot change a word of it.

A lease that asks for more is refused with words for its owner. Paths are judged as text here; ``jobdir`` then
walks them by file descriptors, so that a link planted on the way cannot lead outside what was judged.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from qstage.agent.wire import Lease

OUR_OWN = ".qstage"
"""The directory inside a job's directory that belongs to the agent."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]{0,200}")
"""What may stand in a scheduler's directive: nothing that ends a line, a quote or a word of the shell.
PSI/J quotes such values for a shell inside quotes of its own, which mangles anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may run what here. Lists hold exact words; ``*`` alone allows any.

    ``owners``: identity ids or usernames. ``accounts``, ``queues``, ``reservations``: an empty list allows
    only jobs that name none. ``attributes``: custom attributes by name, with ``*`` as in file names. ``max_nodes`` and
    ``max_minutes``: None is no limit. ``directories``: below which job directories may lie. ``roots``: below
    which data may be linked.
    """

    owners: tuple[str, ...]
    directories: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    reservations: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    max_nodes: int | None = None
    max_minutes: int | None = None


def refusal(lease: Lease, policy: Policy) -> str | None:
    """Why this lease is refused, in words for the job's owner; None when it is allowed."""
    return next(filter(None, _objections(lease, policy)), None)


def _objections(lease: Lease, policy: Policy) -> Iterable[str | None]:
    yield _owner(lease, policy)
    wanted = lease.attributes
    yield _listed("account", wanted.account, policy.accounts)
    yield _listed("queue", wanted.queue_name, policy.queues)
    yield _listed("reservation", wanted.reservation_id, policy.reservations)
    yield from (_attribute(name, value, policy) for name, value in wanted.custom.items())
    yield _size(lease, policy)
    yield _directory(lease, policy)
    yield from (_inside("files", file.path) for file in lease.files)
    yield from (_inside("staged_modes", mode.path) for mode in lease.staged_modes)
    yield from (_inside("links", link.path) or _link(link.target, policy) for link in lease.links)
    yield from (_inside("outputs", output.source, whole=True) for output in lease.outputs)
    for name in ("stdin_path", "stdout_path", "stderr_path"):
        path = getattr(lease, name)
        yield None if path is None else _inside(name, path)
    if not lease.executable.startswith("/"):
        yield _inside("executable", lease.executable)


def _owner(lease: Lease, policy: Policy) -> str | None:
    if {"*", lease.owner_id, lease.owner} & set(policy.owners):
        return None
    return f"this site's policy does not let {lease.owner} run jobs: its administrator can add them to owners"


def _listed(what: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    if not _PLAIN.fullmatch(value):
        return f"{what} {value!r} holds characters that a scheduler's directive must not"
    if "*" in allowed or value in allowed:
        return None
    return f"{what} {value!r} is not among those that this site's policy allows: {_words(allowed)}"


def _attribute(name: str, value: str, policy: Policy) -> str | None:
    if not _PLAIN.fullmatch(name) or not _PLAIN.fullmatch(value):
        return f"custom attribute {name!r} holds characters that a scheduler's directive must not"
    if any(fnmatchcase(name, pattern) for pattern in policy.attributes):
        return None
    return f"custom attribute {name!r} is not among those that this site's policy allows: " + _words(policy.attributes)


def _size(lease: Lease, policy: Policy) -> str | None:
    nodes = lease.resources.node_count or 1
    if policy.max_nodes is not None and nodes > policy.max_nodes:
        return f"{nodes} nodes are more than this site's policy allows: {policy.max_nodes}"
    if policy.max_nodes is not None and lease.resources.node_count is None and lease.resources.process_count:
        return "process_count without node_count leaves the number of nodes open: say node_count"
    minutes = -(-lease.attributes.duration // 60)
    if policy.max_minutes is not None and minutes > policy.max_minutes:
        return f"{minutes} minutes are more than this site's policy allows: {policy.max_minutes}"
    return None


def _directory(lease: Lease, policy: Policy) -> str | None:
    if posixpath.basename(lease.directory.rstrip("/")) != f"{lease.name}-{lease.id}":
        return f"directory {lease.directory!r} does not end in {lease.name}-{lease.id}"
    if split_directory(lease.directory, policy) is None:
        return f"directory {lease.directory!r} is not in one of this site's: {_words(policy.directories)}"
    return None


def split_directory(path: str, policy: Policy) -> tuple[str, tuple[str, ...]] | None:
    """Split a job's directory into the policy's directory and the parts below it (at least two: user, job).

    None when it lies in none of them, or holds ``..`` or the like.
    """
    plain = path.rstrip("/")
    if posixpath.normpath(plain) != plain or not plain.startswith("/"):
        return None
    for root in policy.directories:
        prefix = root.rstrip("/") + "/"
        if plain.startswith(prefix):
            parts = tuple(plain[len(prefix) :].split("/"))
            return (root, parts) if len(parts) >= 2 and OUR_OWN not in parts else None
    return None


def _inside(what: str, path: str, *, whole: bool = False) -> str | None:
    """Object to a path that is not inside the job's directory; ``whole`` allows the directory itself."""
    parts = relative_parts(path)
    if parts is None:
        return f"{what}: {path!r} leads out of the job's directory"
    if not parts and not whole:
        return f"{what}: {path!r} is the job's directory itself"
    if parts and parts[0] == OUR_OWN:
        return f"{what}: {path!r} is the agent's own"
    return None


def relative_parts(path: str) -> tuple[str, ...] | None:
    """The parts of a path inside a job's directory; None for one that is absolute or climbs."""
    if path.startswith("/") or "\0" in path:
        return None
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    return None if ".." in parts else parts


def _link(target: str, policy: Policy) -> str | None:
    plain = target.rstrip("/") or "/"
    if posixpath.normpath(plain) == plain and any(
        plain == root.rstrip("/") or plain.startswith(root.rstrip("/") + "/") for root in policy.roots
    ):
        return None
    return f"links: {target!r} is not under one of this site's roots: {_words(policy.roots)}"


def _words(allowed: tuple[str, ...]) -> str:
    return ", ".join(allowed) if allowed else "none"
