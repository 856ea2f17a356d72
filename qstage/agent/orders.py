"""Carries out the service's commands: cancel, cleanup, and the orders to the scheduler: hold, release, alter.

A command comes again until a report answers it, so what fails now is tried again, and what was done is not done
twice. Directories are touched only when they bear the job's mark.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qstage.agent import rules
from qstage.agent.jobdir import DirectoryRefused, JobDirectory, NoDirectory, open_job_directory
from qstage.agent.journal import Journal
from qstage.agent.policy import OUR_OWN, Policy, refusal
from qstage.agent.rules import Held, Phase, Presence, Step, of_attempt
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


class Orders:
    """What the service may order, within the site's policy."""

    def __init__(self, policy: Policy, journal: Journal, scheduler: Scheduler, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._journal = journal
        self._scheduler = scheduler
        self._clock = clock
        self._refused: set[tuple[str, str]] = set()
        """What was refused, so that a command that comes again is not answered again. A cancel is tried again
        all the same: what is in the way may have gone, or the job."""

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
            if not self._is_said(command, {"exited"}):
                try:
                    self._cancel_stray(command)
                except DirectoryRefused:
                    if not self._is_gone(command):
                        raise
                self._say(command, "exited", outcome="canceled")
        elif command.epoch < held.epoch:
            # The service reads its index a moment late: this was about a try that is over.
            log.info("cancel of an earlier lease left alone", extra={"job": command.job})
        elif held.phase is not Phase.ENDED:
            self._journal.put(rules.cancel(held, self._clock(), unless_ran=command.unless_ran))

    def _cancel_stray(self, command: Command) -> None:
        """A job not held: taken by an agent whose journal is gone, or never. Nothing of it shall run."""
        if command.directory is None:
            return
        self._end_unreleased(command, command.directory)
        try:
            with open_job_directory(
                command.directory, self._policy, create=False, attempt=command.attempt
            ) as directory:
                if directory.owner() is None:
                    return  # nothing was ever submitted from here
                directory.check_claim(command.job)
                directory.block(self._clock())
                run = directory.run_marker()
                script = f"{directory.path}/{OUR_OWN}/{of_attempt('run.sh', command.attempt)}"
        except NoDirectory:
            return
        native = (run.native_id if run else None) or command.native_id
        if native is not None:
            self._scheduler.cancel(native, script)

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
        self._scheduler.cancel(native, f"{path.rstrip('/')}/{OUR_OWN}/{of_attempt('run.sh', command.attempt)}")

    def _is_gone(self, command: Command) -> bool:
        """Whether the scheduler no longer has the job: then it matters no more what its directory is."""
        if command.native_id is None or command.directory is None:
            return False
        script = f"{command.directory.rstrip('/')}/{OUR_OWN}/{of_attempt('run.sh', command.attempt)}"
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
            step = rules.altered(held, command, done, self._clock(), refusal=str(error))
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
        return rules.ordered(held, command, self._clock())

    def _alter(self, command: Command, held: Held, native_id: str) -> Step:
        change = _with_processes(command.change, held)
        try:
            words = refusal(altered_lease(held.lease, command.change), self._policy)
        except BadLease as error:
            words = str(error)
        if words is not None:
            raise Rejected(words)
        self._scheduler.alter(native_id, change, held.lease)
        return rules.altered(held, command, command.change, self._clock())

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
        detail: str | None = None,
    ) -> None:
        self._journal.say(
            Report(
                job=command.job,
                epoch=command.epoch,
                event=event,
                at=rules.iso(self._clock()),
                native_id=command.native_id,
                outcome=outcome,
                detail=detail,
                command=command.command,
                order=command.order,
            )
        )


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
