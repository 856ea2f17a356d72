"""What the end of a batch's task means for each of its items.

With ``skip_source_errors`` on, a task succeeds although some sources were missing: an item succeeded if its
task did and no skipped path lies under its source. A task that failed is read by its error events: the items
that a permanent error names have failed, those that are known to have arrived are done, the others go again,
carefully. Where no event names the culprit the batch is halved until it stands alone; what is about the
collections and not about an item fails them all. A full disk fails nobody: what has not arrived waits for space. A
stage-out is proved against what the site counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.batch import MOST_ITEMS, Member, Movement
from chalicelib.core.globus_codes import SKIP_ERRORS, Reach, Verdict, lasting, meaning, verdict
from chalicelib.core.job import Leg, LegStatus
from chalicelib.core.ports.transfer import Skip, Task, TaskEvent, TaskStatus

MOST_TOLD = 20
"""Skipped paths that one job's story names; the rest are counted."""

RENEWED = "login_renewed"
"""Why a task is cancelled that stays suspended though its user has signed in: what it had is sent again."""

WITHDRAWN = "cancel_requested"
"""Why a task is cancelled when none of its jobs wants it any more."""

EXPIRED = "EXPIRED"
"""What a task past its deadline is called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aboard:
    """An item in a batch: its leg as it set out, its movement, and whether it may be missing."""

    leg: Leg
    movement: Movement
    optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The leg as it is now, and the words for the job's story."""

    leg: Leg
    words: tuple[str, ...] = ()


def settle_all(legs: Mapping[Member, Leg]) -> Mapping[Member, Settled]:
    """The items of a task that succeeded, skipped nothing and, of outputs, did not fall short."""
    return {member: Settled(leg=_as(leg, LegStatus.DONE)) for member, leg in legs.items()}


def settle_success(
    aboard: Sequence[Aboard], skips: Iterable[Skip], delivered: Mapping[Member, int] | None
) -> Mapping[Member, Settled]:
    """The items of a task that succeeded. ``delivered`` counts files for each item where the total fell short."""
    hits = _hits(aboard, skips)
    return {each.movement.member: _arrived(each, hits.get(each.movement.member, ()), delivered) for each in aboard}


def _arrived(each: Aboard, skips: Sequence[Skip], delivered: Mapping[Member, int] | None) -> Settled:
    if skips:
        own = each.movement.source.path.rstrip("/")
        if each.optional and all(s.code == "FILE_NOT_FOUND" and s.source_path.rstrip("/") == own for s in skips):
            return Settled(leg=_as(each.leg, LegStatus.ABSENT))
        code = SKIP_ERRORS.get(skips[0].code, f"source_{skips[0].code.lower()}")
        words = tuple(f"{skip.source_path}: {skip.detail or skip.code}" for skip in skips[:MOST_TOLD])
        more = (f"and {len(skips) - MOST_TOLD} more",) if len(skips) > MOST_TOLD else ()
        return Settled(leg=_as(each.leg, LegStatus.FAILED, code), words=words + more)
    if delivered is not None and each.leg.files is not None:
        arrived = delivered.get(each.movement.member, 0)
        if arrived < each.leg.files:
            told = f"{each.movement.destination}: {arrived} of {each.leg.files} files arrived"
            return Settled(leg=_as(each.leg, LegStatus.FAILED, "output_incomplete"), words=(told,))
    return Settled(leg=_as(each.leg, LegStatus.DONE))


def falls_short(legs: Iterable[Leg], task: Task) -> bool:
    """Whether the task moved fewer files than the site counted in these outputs."""
    return task.files_done < sum(leg.files or 0 for leg in legs)


def count_delivered(aboard: Sequence[Aboard], destinations: Iterable[str]) -> Mapping[Member, int]:
    """How many of these delivered files lie under each item's destination."""
    by_path = _by_path((each.movement.destination.path, each.movement.member) for each in aboard)
    counts: dict[Member, int] = defaultdict(int)
    for path in destinations:
        for member in _under(by_path, path):
            counts[member] += 1
    return counts


def proven(aboard: Sequence[Aboard], destinations: Iterable[str]) -> frozenset[Member]:
    """The items of which a task that did not succeed has delivered everything, by the list of what it moved.

    A file is there if it was moved; a directory if as many files were moved into it as the site had counted. Of one
    that nobody counted nothing is known.
    """
    counts = count_delivered(aboard, destinations)
    expected = {each.movement.member: each.leg.files if each.movement.recursive else 1 for each in aboard}
    return frozenset(member for member, files in expected.items() if files and counts.get(member, 0) >= files)


def out_of_space(task: Task, events: Sequence[TaskEvent], canceling: str | None) -> TaskEvent | str | None:
    """The event (or at least the code) by which a failed task tells that its destination is full; else None."""
    if canceling == WITHDRAWN or lasting(events):
        return None
    told = canceling or task.fatal or ""
    if meaning(told).verdict is not Verdict.SPACE:
        return None
    return next((event for event in events if meaning(event.code).verdict is Verdict.SPACE), told)


def lacks_login(task: Task, events: Sequence[TaskEvent], canceling: str | None) -> str | None:
    """The words with which a failed task tells that only a login helps; "" if it was ended to go on after one.

    One that stood still for want of a login until its deadline lacks just that.
    """
    if canceling is not None:
        return "" if canceling == RENEWED else None
    told = [event for event in events if event.code.upper() not in (EXPIRED, "CANCELED")]
    if task.status is not TaskStatus.FAILED or lasting(told):
        return None
    if told and verdict(told[0].code) is Verdict.USER:
        return _told(told[0])
    return f"Globus task {task.id}: {task.fatal}" if verdict(task.fatal or "") is Verdict.USER else None


def settle_failure(
    aboard: Sequence[Aboard],
    task: Task,
    events: Sequence[TaskEvent],
    canceling: str | None,
    *,
    arrived: frozenset[Member] = frozenset(),
    patient: bool = True,
) -> Mapping[Member, Settled]:
    """The items of a task that failed or was cancelled.

    :param arrived: the items that are ``proven`` to have arrived all the same.
    :param patient: whether what met a full disk may wait for space any longer.
    """
    if canceling == WITHDRAWN or lacks_login(task, events, canceling) is not None:
        return {each.movement.member: Settled(leg=_again(each.leg, MOST_ITEMS)) for each in aboard}
    there = [each for each in aboard if each.movement.member in arrived]
    rest = [each for each in aboard if each.movement.member not in arrived]
    bad = [event for event in lasting(events) if event.code.upper() != EXPIRED]
    culprits = {member: event for event in reversed(bad) for member in _named(event, rest)}
    named = [each for each in rest if each.movement.member in culprits]
    others = [each for each in rest if each.movement.member not in culprits]
    return {
        **{each.movement.member: Settled(leg=_as(each.leg, LegStatus.DONE)) for each in there},
        **{each.movement.member: _blame(each.leg, culprits[each.movement.member]) for each in named},
        **_others(others, task, events, canceling, bad, named=bool(named), patient=patient),
    }


def _others(
    rest: Sequence[Aboard],
    task: Task,
    events: Sequence[TaskEvent],
    canceling: str | None,
    bad: Sequence[TaskEvent],
    *,
    named: bool,
    patient: bool,
) -> Mapping[Member, Settled]:
    """Those that have not arrived and that no event names; ``named`` says that others are to blame."""
    if task.expired or (task.fatal or "").upper() == EXPIRED:
        return _all_fail(rest, *_late(task, events))
    if named:
        return _all_again(rest, MOST_ITEMS)
    if (space := out_of_space(task, events, canceling)) is not None:
        return _all_again(rest, MOST_ITEMS) if patient else _all_fail(rest, "no_space", (_words(space, task),))
    # The list of events is bounded: the one that told may have gone from it.
    told = canceling or task.fatal or ""
    permanent = bool(bad) or canceling is not None or meaning(told).verdict is Verdict.PERMANENT
    shared = meaning(bad[0].code if bad else told).reach is Reach.ROUTE
    if permanent and not shared and len(rest) > 1:
        return _all_again(rest, max(1, len(rest) // 2))
    return _all_fail(rest, *(_why(task, bad, told) if permanent else _why(task, events, told)))


def _all_again(aboard: Iterable[Aboard], share: int) -> Mapping[Member, Settled]:
    return {each.movement.member: Settled(leg=_again(each.leg, share)) for each in aboard}


def _all_fail(aboard: Iterable[Aboard], code: str, words: tuple[str, ...]) -> Mapping[Member, Settled]:
    return {each.movement.member: Settled(leg=_as(each.leg, LegStatus.FAILED, code), words=words) for each in aboard}


def _late(task: Task, events: Sequence[TaskEvent]) -> tuple[str, tuple[str, ...]]:
    """The deadline is why it failed, and the last thing that went wrong is why it was late."""
    last = next((event for event in events if event.code.upper() not in (EXPIRED, "CANCELED")), None)
    cause = "nothing went wrong; it was slow" if last is None else f"at last {_words(last, task)}"
    return "deadline", (f"Globus task {task.id} did not end before its deadline: {cause}",)


def _words(told: TaskEvent | str, task: Task) -> str:
    return f"Globus task {task.id}: {told}" if isinstance(told, str) else _told(told)


def _told(event: TaskEvent) -> str:
    return f"{event.code}: {event.description} {event.detail}".strip()


def _why(task: Task, events: Sequence[TaskEvent], told: str) -> tuple[str, tuple[str, ...]]:
    events = [event for event in events if event.code.upper() != "CANCELED"]
    if events:
        return events[0].code.lower(), (_words(events[0], task),)
    if task.admin is not None:
        return "canceled_by_admin", (f"Globus task {task.id}: canceled by an administrator: {task.admin}",)
    return (told or "task_failed").lower(), (f"Globus task {task.id}: {told or 'canceled, or past its deadline'}",)


def _blame(leg: Leg, event: TaskEvent) -> Settled:
    return Settled(leg=_as(leg, LegStatus.FAILED, event.code.lower()), words=(_told(event),))


def _named(event: TaskEvent, aboard: Sequence[Aboard]) -> Iterable[Member]:
    """The items whose paths an event's details hold. Globus has no field for it.

    Where one path is the beginning of another's last step (``/out/run`` and ``/out/run (2)``) the longer is
    meant: an item that goes again can still fail, and one that has failed cannot come back.
    """
    found = [(place, each.movement.member) for each in aboard for place in _places(each.movement, event.code.upper())]
    found = [(place, member) for place, member in found if _holds(event.detail, place)]
    places = {place for place, _ in found}
    for place, member in found:
        if not any(other.startswith(place) and other[len(place)] != "/" for other in places - {place}):
            yield member


def _places(movement: Movement, code: str) -> tuple[str, ...]:
    """Where an event of this code would name the item. A source of the kind that was asked for is not meant."""
    source = "" if code == _OTHER_KIND[movement.recursive] else movement.source.path.rstrip("/")
    return tuple(place for place in (source, movement.destination.path.rstrip("/")) if place)


_OTHER_KIND = {True: "IS_A_DIRECTORY", False: "NOT_A_DIRECTORY"}
"""The code that a directory, or a file, that was asked for as what it is never meets at its source."""


def _holds(words: str, place: str) -> bool:
    """Whether a path, or one below it, stands in words. ``/in`` is neither in ``/inputs`` nor in ``/data/in``."""
    return re.search(rf"(?<![\w./~-]){re.escape(place)}(?![\w.~-])", words) is not None


def _as(leg: Leg, status: LegStatus, error: str | None = None) -> Leg:
    return Leg(item=leg.item, status=status, files=leg.files, bytes=leg.bytes, error=error)


def _again(leg: Leg, share: int) -> Leg:
    return Leg(item=leg.item, files=leg.files, bytes=leg.bytes, share=min(share, leg.share or share))


def _hits(aboard: Sequence[Aboard], skips: Iterable[Skip]) -> Mapping[Member, list[Skip]]:
    by_path = _by_path((each.movement.source.path, each.movement.member) for each in aboard)
    hits: dict[Member, list[Skip]] = defaultdict(list)
    for skip in skips:
        for member in _under(by_path, skip.source_path):
            hits[member].append(skip)
    return hits


def _by_path(entries: Iterable[tuple[str, Member]]) -> Mapping[str, list[Member]]:
    table: dict[str, list[Member]] = defaultdict(list)
    for path, member in entries:
        table[path.rstrip("/")].append(member)
    return table


def _under(table: Mapping[str, list[Member]], path: str) -> Iterable[Member]:
    """The members whose path is this one or an ancestor of it: one look-up for each step of the path."""
    at = path.rstrip("/")
    while True:
        yield from table.get(at, ())
        if not at:
            return
        at = at.rpartition("/")[0]
