"""Carries out the service's commands: cancel, cleanup, and the orders to the scheduler: hold, release, alter.

A command comes again until a report answers it, so what fails now is tried again, and what was done is not done
twice. Directories are touched only when they bear the job's mark.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from qstage.agent import rules
from qstage.agent.clocks import Clocks
from qstage.agent.jobdir import DirectoryRefused, JobDirectory, NoDirectory, open_job_directory
from qstage.agent.journal import Journal
from qstage.agent.policy import OUR_OWN, Policy, refusal
from qstage.agent.rules import ExitNote, Held, Phase, Presence, Step, of_attempt
from qstage.agent.schedulers import Rejected, Scheduler, SchedulerAway
from qstage.agent.wire import (
    ORDERS,
    BadLease,
    Change,
    Command,
    Event,
    Outcome,
    Report,
    altered_lease,
    read_command,
)
from qstage.cobalt.submission import scheduler_name

log = logging.getLogger("qstage.agent")

_AT_THE_SCHEDULER = frozenset({Phase.HELD, Phase.QUEUED, Phase.ACTIVE})

STRAY_GRACE = 60.0
"""Seconds in which a job that has run and is gone may show its exit status, where nobody has watched it."""

_UNKNOWN_OUTPUTS = (
    "the job ran, and this agent did not know of it (its journal is gone): what it left was not looked at, and is "
    "where it was"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Who took the right to run a job (None: nobody, or an agent, so that nobody does), and how it ended, if it has."""

    native_id: str | None
    exit: ExitNote | None


class Orders:
    """What the service may order, within the site's policy."""

    def __init__(self, policy: Policy, journal: Journal, scheduler: Scheduler, clocks: Clocks) -> None:
        self._policy = policy
        self._journal = journal
        self._scheduler = scheduler
        self._clocks = clocks
        self._refused: set[tuple[str, str]] = set()
        """What was refused, so that a command that comes again is not answered again. A cancel is tried again
        all the same: what is in the way may have gone, or the job."""
        self._missed: dict[str, float] = {}
        """Since when the scheduler has not had a job that has run and that nobody has watched. Steady seconds."""

    def obey(self, command: Command) -> None:
        """Do what a command says, if it was not done; log what could not be done now."""
        refused = (command.job, command.command) in self._refused
        if refused and command.command != "cancel":
            return
        held = self._journal.held.get(command.job)
        try:
            match command.command:
                case "cancel":
                    self._cancel(command, held)
                case "cleanup":
                    self._cleanup(command, held)
                case "hold" | "release" | "alter":
                    self._order(command, held)
        except DirectoryRefused as error:
            if refused:
                return
            self._refused.add((command.job, command.command))
            self._say(command, "refused", detail=str(error))
            log.warning(
                "command refused",
                extra={"job": command.job, "command": command.command, "cause": str(error)},
            )
        except (SchedulerAway, OSError) as error:
            log.warning(
                "command not done",
                extra={"job": command.job, "command": command.command, "cause": str(error)},
            )

    def misread(self, raw: Mapping[str, Any], words: str) -> None:
        """Answer an order that was not understood: its user is to know why nothing comes of it."""
        with contextlib.suppress(BadLease, KeyError):
            command = read_command({**raw, "command": "hold"})  # which needs nothing but what every order has
            if raw.get("command") in ORDERS and not self._is_answered(command):
                self._say(replace(command, command=raw["command"]), "refused", detail=words)

    def _cancel(self, command: Command, held: Held | None) -> None:
        if held is None:
            self._cancel_unknown(command)
        elif command.epoch < held.epoch:
            # The service reads its index a moment late: this was about a try that is over.
            log.info("cancel of an earlier lease left alone", extra={"job": command.job})
        elif held.phase is not Phase.ENDED:
            self._journal.put(rules.cancel(held, self._clocks.wall(), unless_ran=command.unless_ran))

    def _cancel_unknown(self, command: Command) -> None:
        """A job not held: taken by an agent whose journal is gone, or never. Nothing of it shall run, unless it has
        begun and that is to be left alone: then what is seen of it is told."""
        if self._is_said(command, {"exited", "active"} if command.unless_ran else {"exited"}):
            return
        try:
            run = None if command.directory is None else self._stop_the_start(command, command.directory)
            if run is not None and run.native_id is not None and command.unless_ran:
                self._tell(command, run.native_id, run.exit)
                return
            if command.directory is not None:
                self._cancel_stray(command, command.directory, run)
        except DirectoryRefused:
            if not self._is_gone(command):
                raise
        self._say(command, "exited", outcome="canceled")

    def _stop_the_start(self, command: Command, path: str) -> _Run | None:
        """What the job's directory tells of its run, which does not begin from here on; None where nothing was ever
        submitted from it."""
        try:
            with open_job_directory(path, self._policy, create=False, attempt=command.attempt) as directory:
                owner = directory.owner()
                _check_own(directory.path, owner, command)
                if owner is None:
                    return None
                directory.block(self._clocks.wall())
                marker = directory.run_marker()
                return _Run(native_id=marker.native_id if marker else None, exit=directory.exit_note())
        except NoDirectory:
            return None

    def _tell(self, command: Command, native_id: str, note: ExitNote | None) -> None:
        """Say of a job that runs on, or has run, what can be seen of it without its lease."""
        seen = replace(command, native_id=native_id)
        if note is None and not self._is_gone(seen):
            self._missed.pop(command.job, None)
            self._say(seen, "active")
            return
        now = self._clocks.steady()
        if note is None and now - self._missed.setdefault(command.job, now) < STRAY_GRACE:
            return
        outcome: Outcome = "lost" if note is None else "error" if note.code else "ok"
        self._say(
            seen, "exited", outcome=outcome, exit_code=None if note is None else note.code, detail=_UNKNOWN_OUTPUTS
        )

    def _cancel_stray(self, command: Command, path: str, run: _Run | None) -> None:
        """End at the scheduler what there may be of the job: what bears its name, and what it is known by."""
        self._end_unreleased(command, path)
        native = None if run is None else run.native_id or command.native_id
        if native is not None:
            self._scheduler.cancel(native, _script(path, command))

    def _end_unreleased(self, command: Command, path: str) -> None:
        """End what waits at the scheduler, held, of a job that this agent does not hold: an agent whose journal is gone
        has submitted it before its data was there, or a submit filter.

        It is found by the directory's name alone, so the directory must be the job's, and what is found no other's.
        """
        try:
            with open_job_directory(path, self._policy, create=False, attempt=command.attempt) as directory:
                _check_own(directory.path, directory.owner(), command)
        except NoDirectory:
            _check_own(path, None, command)
        native = self._scheduler.find(scheduler_name(path, command.attempt))
        if native is None:
            return
        if any(held.native_id == native and job != command.job for job, held in self._journal.held.items()):
            raise DirectoryRefused(f"{native} at the scheduler is another job's: nothing was touched")
        self._scheduler.cancel(native, _script(path, command))

    def _is_gone(self, command: Command) -> bool:
        """Whether the scheduler no longer has the job: then it matters no more what its directory is."""
        if command.native_id is None or command.directory is None:
            return False
        script = _script(command.directory, command)
        return self._scheduler.presence({command.native_id: script}).get(command.native_id) is Presence.GONE

    def _cleanup(self, command: Command, held: Held | None) -> None:
        running = held is not None and held.phase is not Phase.ENDED
        if running or self._is_said(command, {"cleaned", "refused"}):
            return
        try:
            if command.directory is not None:
                if command.unless_ran:
                    self._end_unreleased(command, command.directory)
                self._remove(command, command.directory)
        except NoDirectory:
            log.info("nothing to clean", extra={"job": command.job})
        self._say(command, "cleaned")

    def _remove(self, command: Command, path: str) -> None:
        with open_job_directory(path, self._policy, create=False, attempt=command.attempt) as directory:
            if command.unless_ran:
                _check_unused(directory, command)
            else:
                directory.check_claim(command.job)
            if command.paths is None:
                directory.remove()
            else:
                directory.remove_paths(command.paths)
        log.info("directory cleaned", extra={"job": command.job, "directory": path})

    def _order(self, command: Command, held: Held | None) -> None:
        """Carry out an order to the scheduler, and say what it said. To do so twice is to do it once."""
        if self._is_answered(command):
            return
        if held is None:
            self._say(command, "refused", detail="this agent does not hold the job: its journal is gone")
            return
        if held.native_id is None or held.cancel_at is not None or held.phase not in _AT_THE_SCHEDULER:
            return  # it is about to be there, or to end: its report says which
        try:
            step = self._carry_out(command, held, held.native_id)
        except Rejected as error:
            log.warning("order refused", extra={"job": command.job, "command": command.command, "cause": str(error)})
            done = _asked(error.done, command.change)
            step = rules.altered(held, command, done, self._clocks.wall(), refusal=str(error))
            self._journal.put(step.held, step.reports)
        else:
            self._journal.put(step.held, step.reports)
            log.info("order carried out", extra={"job": command.job, "command": command.command})

    def _carry_out(self, command: Command, held: Held, native_id: str) -> Step:
        match command.command:
            case "hold":
                self._scheduler.hold(native_id)
            case "release":
                self._scheduler.release(native_id)
            case "alter":
                return self._alter(command, held, native_id)
        return rules.ordered(held, command, self._clocks.wall())

    def _alter(self, command: Command, held: Held, native_id: str) -> Step:
        change = _with_processes(command.change, held)
        try:
            words = refusal(altered_lease(held.lease, command.change), self._policy)
        except BadLease as error:
            words = str(error)
        if words is not None:
            raise Rejected(words)
        self._scheduler.alter(native_id, change, held.lease)
        return rules.altered(held, command, command.change, self._clocks.wall())

    def _is_answered(self, order: Command) -> bool:
        return any(said.job == order.job and said.order == order.order for said in self._journal.reports.values())

    def _is_said(self, command: Command, events: set[str]) -> bool:
        return any(
            said.job == command.job and said.epoch == command.epoch and said.event in events
            for said in self._journal.reports.values()
        )

    def _say(
        self,
        command: Command,
        event: Event,
        *,
        outcome: Outcome | None = None,
        exit_code: int | None = None,
        detail: str | None = None,
    ) -> None:
        self._journal.say(
            Report(
                job=command.job,
                epoch=command.epoch,
                event=event,
                at=rules.iso(self._clocks.wall()),
                native_id=command.native_id,
                outcome=outcome,
                exit_code=exit_code,
                detail=detail,
                command=command.command,
                order=command.order,
            )
        )


def _script(path: str, command: Command) -> str:
    return f"{path.rstrip('/')}/{OUR_OWN}/{of_attempt('run.sh', command.attempt)}"


def _with_processes(change: Change, held: Held) -> Change:
    """Where the nodes change, so does the number of processes that a submission would have asked for."""
    if change.node_count is None or change.process_count is not None:
        return change
    size = held.lease.resources
    count = size.process_count or change.node_count * (size.processes_per_node or 1)
    return change.but(process_count=count)


def _asked(done: Change, asked: Change) -> Change:
    """What was done, without the processes that followed the nodes."""
    return done if asked.process_count is not None else done.but(process_count=None)


def _check_unused(directory: JobDirectory, command: Command) -> None:
    """Raise unless this is a directory that was only staged for the job: it bears its mark, or none and its number."""
    _check_own(directory.path, directory.owner(), command)
    marker = directory.run_marker()
    if marker is not None and marker.native_id is not None:
        raise DirectoryRefused(f"job {command.id} has run: what it left in {directory.path} is kept")


def _check_own(path: str, owner: Mapping[str, object] | None, command: Command) -> None:
    """Raise unless a directory is the job's: by the mark that it bears, or, where it bears none, by its number."""
    if owner is not None and owner.get("job") != command.job:
        raise DirectoryRefused(f"{path} does not bear this job's mark: nothing was touched")
    if owner is None and not path.rstrip("/").endswith(f"-{command.id}"):
        raise DirectoryRefused(f"{path} is not a directory of job {command.id}: nothing was touched")
