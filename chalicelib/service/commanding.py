"""What a site is told to do about its jobs: to end them, to clean up after them, and their users' orders.

A command is repeated until a report answers it; which go into one answer, ``core.turns`` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.document import Document
from chalicelib.core.ids import JobRef
from chalicelib.core.job import Job, State
from chalicelib.core.orders import Order
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.site_queue import Kind, site_due
from chalicelib.core.sites import Site
from chalicelib.core.turns import MOST_COMMANDS, MOST_STANDING, are_in_the_way, turn
from chalicelib.service.papers import documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something the site is to do about a job."""

    job: Job
    word: str
    directory: str
    paths: tuple[str, ...] | None = None
    unless_ran: bool = False
    """Leave the job alone if it has begun to run: of a cleanup, remove only what was staged for it."""
    order: Order | None = None
    """Of an order to the scheduler: which one it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanding:
    """Finds the commands of one answer."""

    jobs: Jobs
    queue: SiteQueue

    def commands(self, site: Site, refs: Sequence[JobRef], now: datetime) -> list[Command]:
        """The commands about these jobs, the oldest that the queue has; in turns with those behind them where they are
        all that goes into an answer, and most have not been answered for long."""
        found = self._commanded(refs)
        if len(refs) >= MOST_COMMANDS and are_in_the_way(found, now):
            standing = self.queue.due(site.id, commands=MOST_STANDING, leases=0).commanded
            found = self._commanded(turn(standing, now))
        read = documents(self.jobs, [job for job in found if job.state is State.COMPLETED])
        return [each for job in found for each in _of_job(site, job, read.get(job.ref))]

    def _commanded(self, refs: Sequence[JobRef]) -> list[Job]:
        # A status that has been replaced since repeats a command, which an agent may be told any number of times; but
        # an order to the scheduler may have been followed by its opposite.
        found = dict(self.jobs.get_many(refs, strong=False))
        found |= self.jobs.get_many([ref for ref, job in found.items() if job.orders])
        return [found[ref] for ref in refs if ref in found and _is_commanded(found[ref])]


def _of_job(site: Site, job: Job, document: Document | None) -> list[Command]:
    directory = site.job_directory(job.ref.user, job.directory_name())
    if job.orders:
        return [Command(job=job, word=each.verb, directory=directory, order=each) for each in job.orders]
    return [_command(job, directory, document)]


def _command(job: Job, directory: str, document: Document | None) -> Command:
    if job.state is State.CANCELED:
        return Command(job=job, word="cleanup", directory=directory, unless_ran=True)
    if job.state is not State.COMPLETED:
        # What is only late runs on if it has begun meanwhile.
        return Command(
            job=job,
            word="cancel",
            directory=directory,
            unless_ran=job.state is not State.FAILED and not job.cancel_requested,
        )
    assert document is not None, "the documents of completed jobs have been read"
    cleanup = document.cleanup
    paths = cleanup if isinstance(cleanup, tuple) else None
    return Command(job=job, word="cleanup", directory=directory, paths=paths)


def _is_commanded(job: Job) -> bool:
    due = site_due(job)
    return due is not None and due[0] is Kind.COMMAND
