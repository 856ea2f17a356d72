"""What happens to a job next. Pure: what is known of the job and what was seen go in, a ``Step`` comes out.

A job that the agent holds goes through these phases:

    LEASED ── prepare, write down "about to submit" ──► SUBMITTING ── native id ──► QUEUED ──► ACTIVE ──► ENDED

One that is leased before its data is there is submitted under a hold, and waits as HELD until it is leased again with
its data; then it is released, by way of SUBMITTING, and is QUEUED.

* What the job itself wrote counts before what the scheduler says: ``.qstage/run`` holds the native id under
  which it runs (another one exits without running), ``.qstage/exit`` its exit status.
* A crash between "about to submit" and the native id leaves SUBMITTING. On return the job's own run marker
  is asked, then the scheduler by the job's name; if neither knows of it, it is submitted again, which is safe:
  of two scheduler jobs only the one that takes the run marker runs.
* Each attempt of a job that is tried again has a run script, a run marker and an exit status of its own, so that it
  too runs once, and is not taken for the one before it.
* What was submitted before its data was there has a run script that refuses, until it is released. If it is not at
  the scheduler any more, it was deleted there, or let go by hand and refused: either ends the job.
* A canceled job's run marker is taken by the agent, so that no stray scheduler job of it can ever start.
* A job that the scheduler no longer knows has ended; without an exit status it is given a grace first, because
  shared file systems show a file late.

The shell (``work``) writes every step to the journal before it carries out its act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

from qstage.agent.wire import (
    Change,
    Command,
    CommandWord,
    Event,
    FoundOutput,
    Lease,
    Outcome,
    Report,
    altered_lease,
    read_lease,
)

ADOPTION = 60.0
"""Seconds in which a job that was registered while it was submitted must appear at the scheduler."""
_DONE: Mapping[CommandWord, Event] = {"hold": "held", "release": "released"}
"""What is reported of an order that was carried out."""
STARTING = 30.0
"""Seconds, or a tenth of the walltime if that is less, between a scheduler's start of a job, from which it counts the
walltime, and the job's own note of its start: prologues, and a node that is busy."""
CANCEL_AGAIN = 60.0
"""Seconds after which a cancel that did not end the job is sent to the scheduler again."""


ASK_AGAIN = 300.0
"""Seconds after which a scheduler is asked again when it would start a job that it holds."""
RELEASE_AGAIN, RELEASE_SELDOM = 15.0, 900.0
"""Seconds after which a scheduler that would not let go of a job is asked again: doubled each time, to this at most."""
LEAST_NEWS, NEWS_SHARE = 300.0, 0.25
"""A new estimate is reported if it differs from the one before by this share of the time that was left until then, and
by these seconds at least: each report is a write, and a small difference moves no data earlier or later."""


class Phase(StrEnum):
    """How far a held job has come."""

    LEASED = "leased"
    SUBMITTING = "submitting"
    HELD = "held"
    """At the scheduler, held, before its data is there."""
    QUEUED = "queued"
    ACTIVE = "active"
    ENDED = "ended"


class Presence(Enum):
    """What the scheduler says of a native id."""

    QUEUED = "queued"
    ACTIVE = "active"
    GONE = "gone"


class Act(Enum):
    """What the shell is to do now."""

    SUBMIT = "submit"
    RELEASE = "release"
    CANCEL = "cancel"
    GATHER = "gather"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that this agent is responsible for. ``ticket`` is PSI/J's name for the submission.

    ``gone_since``, ``cancel_at`` and ``cancel_sent`` are seconds since the epoch.
    """

    lease: Lease
    phase: Phase = Phase.LEASED
    native_id: str | None = None
    ticket: str | None = None
    gone_since: float | None = None
    cancel_at: float | None = None
    cancel_sent: float | None = None
    unless_ran: bool = False
    """Of a cancel: the job is to end only if it has not begun to run."""
    starts_at: float | None = None
    """The start that was last reported of a job that waits at the scheduler, held."""
    refusals: int = 0
    """How often the scheduler would not let go of it, now that its data is there."""
    release_at: float | None = None
    """When it is asked again. Seconds since the epoch."""

    @property
    def job(self) -> str:
        """The service's reference of the job."""
        return self.lease.job

    @property
    def epoch(self) -> int:
        """The lease's epoch: what the service tells a late report by."""
        return self.lease.epoch

    def to_plain(self) -> dict[str, Any]:
        """The form that the journal keeps."""
        return {
            "lease": dict(self.lease.raw),
            "phase": self.phase.value,
            "native_id": self.native_id,
            "ticket": self.ticket,
            "gone_since": self.gone_since,
            "cancel_at": self.cancel_at,
            "cancel_sent": self.cancel_sent,
            "unless_ran": self.unless_ran,
            "starts_at": self.starts_at,
            "refusals": self.refusals,
            "release_at": self.release_at,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Held:
        """Read back what ``to_plain`` wrote."""
        return cls(**{**plain, "lease": read_lease(plain["lease"]), "phase": Phase(plain["phase"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMarker:
    """Who took the right to run: a native id, or None when the agent took it so that nobody runs."""

    native_id: str | None
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitNote:
    """How the job's command ended, by its own run script. ``ended`` is seconds since the epoch."""

    code: int
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the scheduler says of the start of a job that it holds; None: nothing. Seconds since the epoch."""

    starts_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look at one job showed. ``presence`` and ``estimate`` None: the scheduler could not be asked, or was not.

    ``early``: the job's script was started before its data was there, and refused."""

    now: float
    run: RunMarker | None = None
    exit: ExitNote | None = None
    presence: Presence | None = None
    found: str | None = None
    estimate: Estimate | None = None
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ended, before its outputs were looked at."""

    outcome: Outcome
    exit_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``held`` as it now is, what to report, what to do, and with GATHER how it ended."""

    held: Held
    reports: tuple[Report, ...] = ()
    act: Act | None = None
    end: End | None = None


def of_attempt(name: str, attempt: int) -> str:
    """What a file or directory in ``.qstage`` is called for an attempt; the first has the plain name."""
    return name if attempt == 1 else f"{name}.{attempt}"


def iso(now: float) -> str:
    """A time on the wire."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def report(held: Held, event: Event, now: float, *, detail: str | None = None) -> Report:
    """Say something about a held job."""
    return Report(job=held.job, epoch=held.epoch, event=event, at=iso(now), native_id=held.native_id, detail=detail)


def advance(held: Held, seen: Seen, *, grace: float, keeps_walltime: bool = True) -> Step:
    """One look's consequences.

    ``grace``: seconds to wait for the exit status of a job that is gone. ``keeps_walltime`` False: there is
    no scheduler that would end a job at its walltime, so this does.
    """
    if held.phase is Phase.ENDED:
        return Step(held=held)
    held = _not_ahead(held, seen.now)
    if held.phase in {Phase.LEASED, Phase.SUBMITTING}:
        return _begin(held, seen)
    if held.phase is Phase.HELD:
        return _wait(held, seen, grace)
    if seen.exit is not None:
        return _ended(_running(held, seen), seen)
    step = _running(held, seen)
    if step.held.native_id != held.native_id:
        return step  # the scheduler was asked about the other id
    if seen.presence is Presence.GONE:
        return _gone(step, seen, grace)
    if seen.presence is not None and step.held.gone_since is not None:
        step = replace(step, held=replace(step.held, gone_since=None))
    if not keeps_walltime and step.held.cancel_sent is None and _is_over(step.held, seen, seen.now):
        return replace(step, held=replace(step.held, cancel_sent=seen.now), act=Act.CANCEL)
    return _cancel_again(step, seen.now)


def _not_ahead(held: Held, now: float) -> Held:
    """A machine whose time was set back has noted what is to come: each wait begins now, and is no longer than ever."""
    return replace(
        held,
        gone_since=None if held.gone_since is None else min(held.gone_since, now),
        cancel_sent=None if held.cancel_sent is None else min(held.cancel_sent, now),
        release_at=None if held.release_at is None else min(held.release_at, now + RELEASE_SELDOM),
    )


def _begin(held: Held, seen: Seen) -> Step:
    ran = seen.run.native_id if seen.run else None
    ahead = held.lease.held or held.lease.adopted
    if not held.lease.staged and ran is None:
        return _begin_ahead(held, seen)
    # A job that the scheduler had before its data was there is not submitted by being found: it is to be released.
    native = ran or (None if ahead else seen.found)
    if native is not None:
        step = submitted(held, native, held.ticket, seen.now)
        running = _running(step.held, seen)
        step = replace(running, reports=step.reports + running.reports)
        return _ended(step, seen) if seen.exit is not None else step
    if held.cancel_at is not None or seen.run is not None:
        return Step(held=held, act=Act.GATHER, end=End(outcome="canceled", exit_code=None))
    if ahead and held.release_at is not None and seen.now < held.release_at:
        return Step(held=held)
    return Step(held=replace(held, phase=Phase.SUBMITTING), act=Act.RELEASE if ahead else Act.SUBMIT)


def _begin_ahead(held: Held, seen: Seen) -> Step:
    """A job whose data is not there: in the queue it is to be, under a hold."""
    if held.cancel_at is not None or seen.run is not None:
        return Step(held=held, act=Act.GATHER, end=End(outcome="canceled", exit_code=None))
    if seen.found is not None:
        return put_ahead(held, seen.found, held.ticket, seen.estimate, seen.now)
    return Step(held=replace(held, phase=Phase.SUBMITTING), act=Act.SUBMIT)


def _wait(held: Held, seen: Seen, grace: float) -> Step:
    """A job that the scheduler holds is watched: somebody may delete it there, or let it go."""
    if held.cancel_at is not None:
        if seen.presence is Presence.GONE:
            return Step(held=held, act=Act.GATHER, end=End(outcome="canceled", exit_code=None))
        return _cancel_again(Step(held=held), seen.now)
    if seen.presence is Presence.GONE:
        return missing_ahead(held, seen, grace)
    if seen.presence is not None and held.gone_since is not None:
        held = replace(held, gone_since=None)
    if held.lease.staged and seen.presence is not None:
        return Step(held=replace(held, phase=Phase.SUBMITTING), act=Act.RELEASE)
    if seen.estimate is None or not _is_news(held.starts_at, seen.estimate.starts_at, seen.now):
        return Step(held=held)
    return _said_ahead(replace(held, starts_at=seen.estimate.starts_at), seen.now)


def _is_news(before: float | None, after: float | None, now: float) -> bool:
    """Whether an estimate differs from what was reported by so much that it is worth a report."""
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= max(LEAST_NEWS, NEWS_SHARE * (before - now))


def put_ahead(held: Held, native_id: str, ticket: str | None, estimate: Estimate | None, now: float) -> Step:
    """The scheduler has the job, held, before its data is there."""
    starts_at = estimate.starts_at if estimate is not None else None
    after = replace(held, phase=Phase.HELD, native_id=native_id, ticket=ticket, starts_at=starts_at, gone_since=None)
    return _said_ahead(after, now)


def _said_ahead(held: Held, now: float) -> Step:
    starts_at = None if held.starts_at is None else iso(held.starts_at)
    return Step(held=held, reports=(replace(report(held, "held_ahead", now), starts_at=starts_at),))


def missing_ahead(held: Held, seen: Seen, grace: float) -> Step:
    """The scheduler does not list a job that it was to hold until its data was there. A list may be late."""
    if held.gone_since is None:
        return Step(held=replace(held, gone_since=seen.now))
    return _lost_ahead(held, seen) if seen.now - held.gone_since >= grace else Step(held=held)


def _lost_ahead(held: Held, seen: Seen) -> Step:
    name = f"the scheduler's job {held.native_id}, held until the data of this one was there,"
    words = (
        f"{name} was released before that: it was started, and nothing ran"
        if seen.early
        else (f"{name} is not there any more: somebody deleted it")
    )
    return turned_down(held, "gone", words, seen.now)


def not_released(held: Held, words: str, now: float) -> Step:
    """The scheduler would not let go of a job whose data is there: its user is told once, and it is asked again."""
    pause = min(RELEASE_SELDOM, RELEASE_AGAIN * 2 ** min(held.refusals, 10))
    after = replace(held, refusals=held.refusals + 1, release_at=now + pause)
    said = replace(report(held, "refused", now, detail=words), command="release")
    return Step(held=after, reports=() if held.refusals else (said,))


def submitted(held: Held, native_id: str, ticket: str | None, now: float) -> Step:
    """The scheduler has taken the job."""
    after = replace(
        held, phase=Phase.QUEUED, native_id=native_id, ticket=ticket, gone_since=None, refusals=0, release_at=None
    )
    return Step(held=after, reports=(report(after, "queued", now),))


def missed(held: Held, now: float) -> Held:
    """A job that the scheduler should have had before us is not there, or not yet."""
    return held if held.gone_since is not None else replace(held, gone_since=now)


def turned_down(held: Held, event: Event, words: str, now: float) -> Step:
    """The scheduler (``rejected``) or this site's policy (``refused``) would not have the job."""
    after = replace(held, phase=Phase.ENDED)
    return Step(held=after, reports=(report(after, event, now, detail=words),))


def _running(held: Held, seen: Seen) -> Step:
    """Take in that the job runs, and under which native id: its own marker knows better than we do."""
    ran = seen.run.native_id if seen.run else None
    if ran is not None and ran != held.native_id:
        held = replace(held, native_id=ran, gone_since=None)
        active = True
    else:
        active = ran is not None or seen.presence is Presence.ACTIVE
    if active and held.unless_ran:
        held = replace(held, cancel_at=None, cancel_sent=None, unless_ran=False)
    if held.phase is Phase.QUEUED and active:
        held = replace(held, phase=Phase.ACTIVE)
        return Step(held=held, reports=(report(held, "active", seen.run.started if seen.run else seen.now),))
    return Step(held=held)


def _gone(step: Step, seen: Seen, grace: float) -> Step:
    held = step.held
    if held.cancel_at is not None and held.cancel_sent is not None:
        # What was canceled and is gone was ended by that, or never ran: there is no exit status to wait for.
        return _ended(step, seen)
    if held.gone_since is None:
        return replace(step, held=replace(held, gone_since=seen.now))
    if seen.now - held.gone_since < grace:
        return step
    return _ended(step, replace(seen, now=held.gone_since))


def _ended(step: Step, seen: Seen) -> Step:
    end = End(outcome=_outcome(step.held, seen), exit_code=seen.exit.code if seen.exit else None)
    return replace(step, act=Act.GATHER, end=end)


def _outcome(held: Held, seen: Seen) -> Outcome:
    if seen.exit is not None and seen.exit.code == 0:
        return "ok"
    if held.cancel_at is not None:
        return "canceled"
    last = seen.exit.ended if seen.exit else seen.now
    over = _is_over(held, seen, last + min(STARTING, held.lease.attributes.duration / 10))
    if seen.exit is None:
        return "walltime" if over else "lost"
    # Above 128 is a signal: at the end of its walltime a scheduler ends a job by one.
    return "walltime" if over and seen.exit.code > 128 else "error"


def _is_over(held: Held, seen: Seen, at: float) -> bool:
    return seen.run is not None and at - seen.run.started >= held.lease.attributes.duration


def _cancel_again(step: Step, now: float) -> Step:
    held = step.held
    if held.cancel_at is None or (held.cancel_sent is not None and now - held.cancel_sent < CANCEL_AGAIN):
        return step
    return replace(step, held=replace(held, cancel_sent=now), act=Act.CANCEL)


def cancel(held: Held, now: float, *, unless_ran: bool = False) -> Held:
    """The service wants the job ended, whatever it does or unless it has begun. The next look carries it out."""
    if unless_ran and (held.phase is Phase.ACTIVE or held.cancel_at is not None):
        return held
    return replace(held, cancel_at=now if held.cancel_at is None else held.cancel_at, unless_ran=unless_ran)


def ordered(held: Held, command: Command, now: float) -> Step:
    """The scheduler has done what the service ordered, or it was so already."""
    said = report(held, _DONE[command.command], now)
    return Step(held=held, reports=(_answering(said, command),))


def altered(held: Held, command: Command, done: Change, now: float, *, refusal: str | None = None) -> Step:
    """The scheduler has been asked for something else: the lease says what, and the walltime that is kept is the new.

    ``refusal``: of an alteration that was done in part, the words about the rest.
    """
    after = replace(held, lease=altered_lease(held.lease, done))
    event: Event = "altered" if refusal is None else "refused"
    said = replace(report(held, event, now, detail=refusal), change=done.to_wire() or None)
    return Step(held=after, reports=(_answering(said, command),))


def _answering(said: Report, order: Command) -> Report:
    """The report as the answer to an order: of the lease that the service knows, which may have got lost on its way."""
    return replace(said, epoch=order.epoch, command=order.command, order=order.order)


def exited(
    held: Held, end: End, now: float, *, tail: str, outputs: tuple[FoundOutput, ...], detail: str | None
) -> Step:
    """The job is over and looked at: one report says all of it."""
    after = replace(held, phase=Phase.ENDED)
    said = replace(
        report(after, "exited", now, detail=detail),
        exit_code=end.exit_code,
        outcome=end.outcome,
        tail=tail,
        outputs=outputs,
    )
    return Step(held=after, reports=(said,))


def taken(lease: Lease) -> Held:
    """A job that this agent knows nothing of. What the scheduler has from one whose journal is lost is watched as that
    one would have."""
    return Held(lease=lease, phase=Phase.QUEUED, native_id=lease.native_id) if lease.submitted else Held(lease=lease)


def leased_again(held: Held, lease: Lease, now: float) -> Step:
    """The service leases a job that is already held: under a new epoch all of it is told again."""
    if lease.epoch <= held.epoch:
        arrived = lease.epoch == held.epoch and lease.staged and not held.lease.staged
        return Step(held=replace(held, lease=lease) if arrived else held)
    if lease.attempt != held.lease.attempt:
        return Step(held=Held(lease=lease))
    renewed = replace(held, lease=lease)
    match held.phase:
        case Phase.LEASED | Phase.SUBMITTING:
            return Step(held=renewed)
        case Phase.HELD:
            return Step(held=renewed) if lease.staged else _said_ahead(renewed, now)
        case Phase.ENDED:
            # It may have been turned down, or ended: looking again tells which.
            return Step(held=replace(renewed, phase=Phase.LEASED, native_id=None, gone_since=None))
        case Phase.QUEUED:
            return Step(held=renewed, reports=(report(renewed, "queued", now),))
        case Phase.ACTIVE:
            return Step(held=renewed, reports=(report(renewed, "queued", now), report(renewed, "active", now)))
