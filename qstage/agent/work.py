"""Carries out for each job what the rules say: look, write down, act. One bad job never stops another.

Every change goes to the journal before the act that it announces. What goes wrong with a job before the scheduler
has it is reported as ``rejected`` with the words; afterwards it is logged and looked at again.
"""

from __future__ import annotations

import contextlib
import logging
import posixpath
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

from qstage.agent import rules
from qstage.agent.clocks import Clocks
from qstage.agent.config import AgentConfig
from qstage.agent.jobdir import DirectoryRefused, JobDirectory, NoDirectory, open_job_directory
from qstage.agent.journal import Journal
from qstage.agent.policy import OUR_OWN, refusal
from qstage.agent.rules import Act, End, Estimate, Held, Phase, Presence, Seen, Step, of_attempt
from qstage.agent.runscript import render, render_too_soon
from qstage.agent.schedulers import Rejected, Scheduler, SchedulerAway
from qstage.agent.wire import FoundOutput, Lease

log = logging.getLogger("qstage.agent")

_NOT_THERE = "the scheduler has no held job of this name (qsub refused it after all, or it was deleted):"
_HALF = 2000
"""Characters of each of output and error in a report that carries both."""


class Work:
    """The jobs of one site, as the journal has them, and the means to move them on."""

    def __init__(self, config: AgentConfig, journal: Journal, scheduler: Scheduler, clocks: Clocks) -> None:
        self._config = config
        self._journal = journal
        self._scheduler = scheduler
        self._clocks = clocks
        self.submit_seconds = 1.0
        """How long a submission takes here, as a moving average."""
        self._asked: dict[str, float] = {}
        """When the scheduler was last asked for the start of a job that it holds, by its native id. Steady seconds."""

    @property
    def holds(self) -> bool:
        """Whether jobs can be submitted here before their data is there."""
        return self._scheduler.can_hold

    # What the service gives

    def take(self, lease: Lease) -> None:
        """Hold a leased job; refuse one that this site's policy does not allow."""
        held = self._journal.held.get(lease.job)
        if held is not None:
            self._keep(rules.leased_again(held, lease, self._clocks.wall()))
            return
        words = refusal(lease, self._config.policy)
        if words is None:
            self._keep(Step(held=rules.taken(lease)))
            return
        log.warning("lease refused", extra={"job": lease.job, "cause": words})
        if not lease.submitted:  # what runs is not ended by a policy that was changed since: it is left alone
            self._keep(rules.turned_down(Held(lease=lease), "refused", words, self._clocks.wall()))

    # One look at all

    def advance(self, *, submit_until: float) -> None:
        """Look at every job once and move each on; submit none after ``submit_until``, when leases may pass."""
        present = self._ask_scheduler()
        starts = self._ask_starts(self._due_for_a_start())
        for held in tuple(self._journal.held.values()):
            unsent = held.phase in {Phase.LEASED, Phase.SUBMITTING}
            unsent = unsent or (held.phase is Phase.HELD and held.lease.staged and held.cancel_at is None)
            if held.phase is Phase.ENDED or (unsent and self._clocks.steady() >= submit_until):
                continue
            try:
                self._advance_one(held, present, starts)
            except SchedulerAway as error:
                log.warning("scheduler away", extra={"job": held.job, "cause": str(error)})
            except Exception as error:  # one bad job, or our own mistake with it, must not stop the others
                self._stumbled(held, error)

    def _ask_scheduler(self) -> Mapping[str, Presence]:
        asked = {
            held.native_id: self._script(held)
            for held in self._journal.held.values()
            if held.native_id and held.phase in {Phase.HELD, Phase.QUEUED, Phase.ACTIVE}
        }
        try:
            return self._scheduler.presence(asked)
        except SchedulerAway as error:
            log.warning("scheduler away", extra={"cause": str(error)})
            return {}

    def _due_for_a_start(self) -> list[str]:
        """The jobs whose start the scheduler is to be asked for again, those first that were asked for long ago."""
        waiting = {
            held.native_id: self._asked.get(held.native_id, float("-inf"))
            for held in self._journal.held.values()
            if held.native_id and held.phase is Phase.HELD and not held.lease.staged
        }
        self._asked = {native: at for native, at in self._asked.items() if native in waiting}
        late = [native for native, at in waiting.items() if self._clocks.steady() - at >= rules.ASK_AGAIN]
        return sorted(late, key=lambda native: waiting[native])

    def _ask_starts(self, asked: Collection[str]) -> Mapping[str, float | None]:
        try:
            starts = self._scheduler.expected_starts(asked)
        except SchedulerAway as error:
            log.warning("scheduler away", extra={"cause": str(error)})
            return {}
        self._asked.update(dict.fromkeys(starts, self._clocks.steady()))
        return starts

    def _advance_one(self, held: Held, present: Mapping[str, Presence], starts: Mapping[str, float | None]) -> None:
        seen = self._look(held, present)
        if seen.found is not None and not held.lease.staged:
            starts = self._ask_starts([seen.found])
        native = held.native_id or seen.found
        if native is not None and native in starts:
            seen = replace(seen, estimate=Estimate(starts_at=starts[native]))
        step = rules.advance(
            held,
            seen,
            grace=self._config.grace_seconds,
            keeps_walltime=self._scheduler.keeps_walltime,
        )
        if step.act is Act.SUBMIT:
            self._submit(step.held)
            return
        if step.act is Act.RELEASE:
            self._release(step.held)
            return
        if step != Step(held=held):
            self._keep(step)
        if step.act is Act.CANCEL:
            self._end(step.held)
        elif step.act is Act.GATHER and step.end is not None:
            self._gather(step.held, step.end)

    def _look(self, held: Held, present: Mapping[str, Presence]) -> Seen:
        run = note = found = None
        early = False
        begun = held.phase is Phase.SUBMITTING
        try:
            with self._directory(held.lease) as directory:
                run, note = directory.run_marker(), directory.exit_note()
                early = held.phase is Phase.HELD and directory.was_early()
                begun = begun or (held.phase is Phase.LEASED and directory.has_run_script())
        except NoDirectory:
            pass
        # What a lease before this one has put in the queue is there though its directory be removed.
        begun = begun or (not held.lease.staged and held.epoch > 1)
        if begun and run is None and not held.lease.adopted and not (held.lease.staged and held.lease.held):
            found = self._scheduler.find(held.lease.scheduler_name)
        presence = present.get(held.native_id or "")
        return Seen(now=self._clocks.wall(), run=run, exit=note, found=found, presence=presence, early=early)

    # Acts

    def _submit(self, held: Held) -> None:
        lease = held.lease
        if not lease.staged and not self.holds:
            words = f"this agent does not submit jobs to {self._config.scheduler} before their data is there"
            self._keep(rules.turned_down(held, "refused", words, self._clocks.wall()))
            return
        if not lease.staged and lease.adopted:
            self._find_ahead(held)
            return
        script = self._prepare(lease) if lease.staged else self._prepare_ahead(lease)
        self._keep(Step(held=held))  # "about to submit": from here on a crash asks before it submits again
        began = self._clocks.steady()
        try:
            receipt = self._scheduler.submit(lease, script, lease.directory.rstrip("/"))
        except Rejected as error:
            log.warning("job rejected", extra={"job": held.job, "cause": str(error)})
            self._keep(rules.turned_down(held, "rejected", str(error), self._clocks.wall()))
            return
        now = self._clocks.wall()
        self.submit_seconds += 0.2 * (self._clocks.steady() - began - self.submit_seconds)
        if lease.staged:
            self._keep(rules.submitted(held, receipt.native_id, receipt.ticket, now))
        else:
            self._put_ahead(held, receipt.native_id, receipt.ticket)
        log.info("job submitted", extra={"job": held.job, "native_id": receipt.native_id, "held": not lease.staged})

    def _put_ahead(self, held: Held, native: str, ticket: str | None) -> None:
        """Report a job that the scheduler holds, with the start that it expects: without one its data comes at once."""
        starts = self._ask_starts([native])
        self._keep(rules.put_ahead(held, native, ticket, Estimate(starts_at=starts.get(native)), self._clocks.wall()))

    def _find_ahead(self, held: Held) -> None:
        """Find what a submit filter has left at the scheduler, held. It may come a moment later."""
        native = self._found(held)
        if native is not None:
            self._prepare_ahead(held.lease)
            self._put_ahead(held, native, None)
            log.info("job adopted", extra={"job": held.job, "native_id": native})

    def _release(self, held: Held) -> None:
        """Let go the scheduler's job, which waits under a hold for its data. To do so twice is to do it once."""
        lease = held.lease
        native = held.native_id or lease.native_id or self._scheduler.find(lease.scheduler_name)
        if native is None and not lease.adopted:
            self._submit(held)  # it never came to be held
            return
        native = native or self._found(held)
        if native is None or self._is_early(held, native):
            return
        self._prepare(lease)
        held = replace(held, native_id=native)
        self._keep(Step(held=held))
        try:
            self._scheduler.release(native)
        except Rejected as error:
            log.warning("job not released", extra={"job": held.job, "native_id": native, "cause": str(error)})
            words = f"the scheduler does not release {native}, and is asked again from time to time: {error}"
            self._keep(rules.not_released(held, words, self._clocks.wall()))
            return
        self._keep(rules.submitted(held, native, held.ticket, self._clocks.wall()))
        log.info("job released", extra={"job": held.job, "native_id": native})

    def _is_early(self, held: Held, native: str) -> bool:
        """Whether the scheduler's job was deleted, or let go before its data was there: then it is not released."""
        presence = self._scheduler.presence({native: self._script(held)}).get(native)
        if presence is Presence.GONE:
            # Released just before a crash it may have run: that it took its run marker may be seen late.
            early = False
            with contextlib.suppress(NoDirectory), self._directory(held.lease) as directory:
                early = directory.was_early()
            seen = Seen(now=self._clocks.wall(), early=early)
            self._keep(rules.missing_ahead(replace(held, native_id=native), seen, self._config.grace_seconds))
            return True
        return presence is not Presence.QUEUED  # it refuses, and will be gone

    def _found(self, held: Held) -> str | None:
        """The scheduler's job of this name, which may come a moment later than its lease."""
        name, now = held.lease.scheduler_name, self._clocks.wall()
        native = self._scheduler.find(name)
        if native is None:
            if held.gone_since is None:
                log.warning("job not there yet", extra={"job": held.job, "scheduler_name": name})
            held = rules.missed(held, now)
            if held.gone_since is None or now - held.gone_since < rules.ADOPTION:
                self._keep(Step(held=held))
            else:
                log.warning("job gone", extra={"job": held.job, "cause": _NOT_THERE})
                self._keep(rules.turned_down(held, "gone", f"{_NOT_THERE} {name}", now))
        return native

    def _prepare_ahead(self, lease: Lease) -> str:
        """Make the job's directory, with a run script that refuses until the data is there."""
        with self._directory(lease, create=True) as directory:
            directory.claim(lease.job, lease.id, self._config.site)
            return directory.write_run_script(render_too_soon(lease, directory=directory.path))

    def _prepare(self, lease: Lease) -> str:
        with self._directory(lease, create=True) as directory:
            directory.claim(lease.job, lease.id, self._config.site)
            for file in lease.files:
                directory.write_file(file.path, file.content, file.mode)
            for staged in lease.staged_modes:
                directory.set_mode(staged.path, staged.mode)
            for link in lease.links:
                directory.link(link.path, link.target, self._config.policy.roots)
            for path in (lease.output_path, lease.error_path):
                directory.make_parents(path)
            if lease.stdin_path is not None and directory.count(lease.stdin_path)[0] != "file":
                raise DirectoryRefused(f"file {lease.stdin_path} not found, or is not a file")
            text = render(
                lease,
                directory=directory.path,
                scheduler=self._config.scheduler,
                keep=self._config.keep,
            )
            return directory.write_run_script(text)

    def _end(self, held: Held) -> None:
        if held.cancel_at is not None:
            # Its user may have removed the directory: then nothing of it can start any more.
            with (
                contextlib.suppress(NoDirectory),
                self._directory(held.lease) as directory,
            ):
                directory.block(self._clocks.wall())
                run = directory.run_marker()
                if held.unless_ran and run is not None and run.native_id is not None:
                    return  # it took the right to run before us
        if held.native_id is not None:
            self._scheduler.cancel(held.native_id, self._script(held))
            log.info("job canceled", extra={"job": held.job, "native_id": held.native_id})

    def _end_unreleased(self, held: Held) -> None:
        native = held.native_id or held.lease.native_id or self._scheduler.find(held.lease.scheduler_name)
        if native is not None:
            self._scheduler.cancel(native, self._script(held))
            log.info("job canceled", extra={"job": held.job, "native_id": native})

    def _gather(self, held: Held, end: End) -> None:
        begun = held.phase in {Phase.LEASED, Phase.SUBMITTING}
        if begun and (held.lease.adopted or held.lease.held or not held.lease.staged):
            self._end_unreleased(held)
        tail, detail = "", None
        found: tuple[FoundOutput, ...]
        try:
            with self._directory(held.lease) as directory:
                if end.outcome == "canceled":
                    directory.block(self._clocks.wall())
                tail = _tail(directory, held.lease)
                found = tuple(_find(directory, output.item, output.source) for output in held.lease.outputs)
        except NoDirectory:
            found = tuple(FoundOutput(item=output.item, kind="missing") for output in held.lease.outputs)
        if end.outcome == "lost":
            detail = "the scheduler no longer knows the job, and it left no exit status"
        self._keep(rules.exited(held, end, self._clocks.wall(), tail=tail, outputs=found, detail=detail))
        if held.native_id is not None:
            self._scheduler.forget(held.native_id, held.ticket)
        log.info("job ended", extra={"job": held.job, "outcome": end.outcome, "exit_code": end.exit_code})

    # Steps

    def _script(self, held: Held) -> str:
        name = of_attempt("run.sh", held.lease.attempt)
        return posixpath.join(held.lease.directory.rstrip("/"), OUR_OWN, name)

    def _directory(self, lease: Lease, *, create: bool = False) -> AbstractContextManager[JobDirectory]:
        return open_job_directory(lease.directory, self._config.policy, create=create, attempt=lease.attempt)

    def _keep(self, step: Step) -> None:
        self._journal.put(step.held, step.reports)

    def _stumbled(self, held: Held, error: Exception) -> None:
        unsent = held.phase in {Phase.LEASED, Phase.SUBMITTING} or (held.phase is Phase.HELD and held.lease.staged)
        if unsent and not isinstance(error, SchedulerAway):
            words = str(error) if isinstance(error, DirectoryRefused) else f"{type(error).__name__}: {error}"
            log.warning("job rejected", extra={"job": held.job, "cause": words})
            now = self._clocks.wall()
            current = self._journal.held.get(held.job, held)
            self._keep(rules.turned_down(current, "rejected", f"the agent could not prepare the job: {words}", now))
        else:
            log.exception("job not looked at", extra={"job": held.job})


def _find(directory: JobDirectory, item: int, source: str) -> FoundOutput:
    kind, files, size, links = directory.count(source)
    return FoundOutput(item=item, kind=kind, files=files, bytes=size, links=links)


def _tail(directory: JobDirectory, lease: Lease) -> str:
    out, error = directory.tail(lease.output_path), directory.tail(lease.error_path)
    if not error or posixpath.normpath(lease.output_path) == posixpath.normpath(lease.error_path):
        return out
    if not out:
        return error
    return f"{out[-_HALF:]}\n--- standard error ---\n{error[-_HALF:]}"
