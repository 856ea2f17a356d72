"""The agent's rounds: look at the jobs, tell the service, take what it gives; and what to do while it is away.

Only outgoing calls. While the service cannot be reached the jobs are still watched and their reports kept, and
nothing new is submitted: a lease that cannot be renewed may have passed to another.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qstage import __version__
from qstage.agent.clocks import MACHINE, Clocks
from qstage.agent.config import AgentConfig
from qstage.agent.journal import Journal
from qstage.agent.orders import Orders
from qstage.agent.rules import Held, Phase, iso
from qstage.agent.schedulers import WrongSite, open_scheduler
from qstage.agent.strays import find_strays
from qstage.agent.wire import Answer, BadLease, Report, read_answer, read_command, read_lease
from qstage.agent.work import Work
from qstage.client import Client, Conflict, InvalidDocument, QstageError, Unavailable, Unreachable

log = logging.getLogger("qstage.agent")

SUBMIT_WINDOW = 60.0
"""Seconds after an answered sync during which leases are sure: less than half of any lease."""
HALF_A_LEASE = 300.0
"""Seconds. The service leases for ten minutes."""
_MOST_REPORTS = 500
_MOST_STRAYS = 100
_FINAL = frozenset({"exited", "rejected", "refused", "gone"})


class Busy(Exception):
    """Another agent of this site runs on this machine."""


class Agent:
    """One site's agent. ``run`` keeps on until ``stop`` is set; ``run_once`` does one round and returns."""

    def __init__(
        self,
        config: AgentConfig,
        journal: Journal,
        work: Work,
        orders: Orders,
        client: Client,
        clocks: Clocks,
    ) -> None:
        self._config = config
        self._journal = journal
        self._work = work
        self._orders = orders
        self._client = client
        self._wall, self._steady = clocks.wall, clocks.steady
        self._strays = [] if journal.searched else find_strays(config.policy, config.site)
        """Of the jobs that a lost journal may have known, those that the service is still to be asked for."""
        self._synced = float("-inf")
        self._next_seconds = 0.0

    def run_once(self) -> None:
        """Watch, sync, submit, and tell what came of it. Raises ``QstageError`` when the service is away."""
        self._work.advance(submit_until=self._synced)
        self._sync()
        self._work.advance(submit_until=self._synced + SUBMIT_WINDOW)
        if self._journal.reports:
            self._sync()

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``. Raises ``QstageError`` only for what waiting does not cure (a revoked token)."""
        due, away = 0.0, 0
        while not stop.is_set():
            self._work.advance(submit_until=self._synced + SUBMIT_WINDOW)
            if self._steady() >= due:
                try:
                    self._sync()
                    away = 0
                    due = self._steady() + max(self._next_seconds, self._gathering())
                    self._work.advance(submit_until=self._synced + SUBMIT_WINDOW)
                except (Unavailable, Unreachable, Conflict) as error:
                    away += 1
                    pause = _pause(error, away)
                    due = self._steady() + pause
                    log.warning("service away", extra={"cause": str(error), "again_in": round(pause)})
            if self._journal.reports and not away:
                due = min(due, self._steady() + self._gathering())
            stop.wait(max(0.05, min(self._config.poll_seconds, due - self._steady())))

    def _gathering(self) -> float:
        """Seconds to gather reports for: with many jobs one call carries what happened to several."""
        return min(15.0, max(0.5, len(self._journal.held) / 50))

    def _room(self) -> int:
        """How many more jobs could be submitted within half a lease."""
        unsent = [held for held in self._journal.held.values() if held.phase in {Phase.LEASED, Phase.SUBMITTING}]
        waiting = sum(held.release_at is None for held in unsent)  # what is not released takes nobody's place
        return max(0, min(self._config.take, int(HALF_A_LEASE / max(self._work.submit_seconds, 0.01))) - waiting)

    def _sync(self) -> None:
        sent = dict(list(self._journal.reports.items())[:_MOST_REPORTS])
        strays = self._strays[:_MOST_STRAYS]
        try:
            answer = self._client.sync_site(self._config.site, self._body(sent, strays))
        except InvalidDocument as error:
            self._give_up(sent, error)
            raise Unavailable(str(error)) from error
        self._synced = self._steady()
        self._next_seconds = max(0.2, float(answer.get("next_seconds") or 2.0))
        self._settle(sent, [read_answer(raw) for raw in answer.get("answers") or ()])
        for raw in answer.get("leases") or ():
            self._lease(raw)
        del self._strays[: len(strays)]  # what of them is to be followed is in the journal now
        if not self._strays and not self._journal.searched:
            self._journal.has_searched()
        for raw in answer.get("commands") or ():
            try:
                self._orders.obey(read_command(raw))
            except (BadLease, KeyError) as error:
                log.warning("command not understood", extra={"job": raw.get("job"), "cause": str(error)})
                self._orders.misread(raw, str(error))

    def _give_up(self, sent: Mapping[int, Report], error: InvalidDocument) -> None:
        """One report that the service cannot read must not keep back all others for ever."""
        numbers = list(sent)
        for fault in error.faults:
            words = fault.pointer.split("/")
            if words[1:2] == ["reports"] and words[2:3] and words[2].isdigit() and int(words[2]) < len(numbers):
                number = numbers[int(words[2])]
                log.error("report given up", extra={"job": sent[number].job, "cause": str(fault)})
                self._journal.answered([number])

    def _body(self, sent: Mapping[int, Report], strays: list[str]) -> dict[str, Any]:
        return {
            "agent": {
                "instance": self._journal.instance,
                "version": __version__,
                "host": socket.gethostname(),
            },
            "take": self._room(),
            "holding": [{"job": held.job, "epoch": held.epoch} for held in self._leased()],
            "holds": self._work.holds,
            "reports": [report.to_wire() for report in sent.values()],
            **({"strays": strays} if strays else {}),
        }

    def _leased(self) -> list[Held]:
        """The jobs that the service may still take for leased: not those that it knows to be at the scheduler."""
        unheard = {report.job for report in self._journal.reports.values()}
        waiting = {Phase.LEASED, Phase.SUBMITTING}
        return [
            held
            for held in self._journal.held.values()
            if held.phase in waiting or held.job in unheard or (held.phase is Phase.HELD and held.lease.staged)
        ]

    def _lease(self, raw: Mapping[str, Any]) -> None:
        try:
            self._work.take(read_lease(raw))
        except BadLease as error:
            job, epoch = raw.get("job"), raw.get("epoch")
            log.warning("lease not understood", extra={"job": job, "cause": str(error)})
            if isinstance(job, str) and isinstance(epoch, int):
                self._journal.say(_unreadable(job, epoch, str(error), self._wall()))

    def _settle(self, sent: Mapping[int, Report], answers: list[Answer]) -> None:
        """Forget what was answered: a report, and with its last report, or when it is not ours, a job."""
        open_numbers = list(sent)
        for answer in answers:
            number = next((n for n in open_numbers if (sent[n].job, sent[n].event) == (answer.job, answer.event)), None)
            if number is None:
                continue
            open_numbers.remove(number)
            self._settle_one(number, sent[number], answer)

    def _settle_one(self, number: int, report: Report, answer: Answer) -> None:
        held = self._journal.held.get(report.job)
        current = held is not None and held.epoch <= report.epoch
        if answer.result != "recorded":
            log.warning(
                "report not recorded",
                extra={"job": report.job, "event": report.event, "result": answer.result, "cause": answer.detail},
            )
        if answer.result in {"stale", "unknown"} and current:
            # Another lease has the job: its run marker keeps ours from running beside it.
            self._journal.drop(report.job)
            self._journal.answered([n for n, said in self._journal.reports.items() if said.job == report.job])
            return
        self._journal.answered([number])
        last = report.event in _FINAL and report.order is None
        if last and current and held is not None and held.phase is Phase.ENDED:
            self._journal.drop(report.job)


def _unreadable(job: str, epoch: int, words: str, now: float) -> Report:
    return Report(job=job, epoch=epoch, event="rejected", at=iso(now), detail=words)


def _pause(error: QstageError, times: int) -> float:
    """Seconds until the service is asked again: what it says, else doubling to a minute, spread."""
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return asked or min(60.0, float(2 ** min(times, 6))) * random.uniform(0.5, 1.0)  # noqa: S311


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the site's lock on this machine. Raises ``Busy`` when another agent has it."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"another agent of this site runs on this machine (it holds {state / 'lock'})") from None
        yield
    finally:
        os.close(fd)


@contextmanager
def open_agent(config: AgentConfig, *, clocks: Clocks = MACHINE) -> Iterator[Agent]:
    """An agent ready to run. Raises ``WrongSite``, ``Busy`` or ``JournalDamaged`` when it must not start."""
    for directory in config.policy.directories:
        if not os.path.isdir(directory):
            raise WrongSite(f"[policy] directories: {directory} is not there")
    with only_one(config.state):
        scheduler = open_scheduler(config.scheduler, config.work, config.path)
        journal = Journal.open(config.state / "journal")
        try:
            client = Client(config.service, config.token.reveal(), timeout=60.0)
            work = Work(config, journal, scheduler, clocks)
            orders = Orders(config.policy, journal, scheduler, clocks)
            yield Agent(config, journal, work, orders, client, clocks)
        finally:
            journal.close()
