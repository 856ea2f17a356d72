"""What an agent's reports mean for a job: each is read against what those before it have made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.document import Document
from chalicelib.core.errors import Invalid
from chalicelib.core.job import Job
from chalicelib.core.lifecycle import IllegalTransition
from chalicelib.core.sync import AgentReport, detail_of, document_after, event_of, reads_document
from chalicelib.service.changing import Decide, Step, walk

Papers = Callable[[Job], Document]
"""Gives the document that a job has by its status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one report: recorded, stale, unknown or refused."""

    report: AgentReport
    result: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the reports about one job mean for it, as it was read."""

    job: Job
    papers: Papers
    after: Job
    answers: Sequence[Answer]
    bugs: Sequence[IllegalTransition | Invalid]

    @property
    def changes(self) -> bool:
        """Whether each of them can be and they change the job."""
        return self.after is not self.job and all(answer.result == "recorded" for answer in self.answers)

    def deciding(self, now: datetime) -> Decide:
        """Reads those that can be against what the job has become."""

        def decide(current: Job) -> tuple[Step, ...]:
            reports = [answer.report for answer in self.answers if answer.result == "recorded"]
            return _walked(current, reports, self.papers, now)[0]

        return decide


def read_reports(job: Job, reports: Sequence[AgentReport], papers: Papers, now: datetime) -> Reading:
    """Read the reports one after the other. One that is bad by itself never keeps back the others."""
    answers: list[Answer] = []
    bugs: list[IllegalTransition | Invalid] = []
    good: list[AgentReport] = []
    after = job
    for report in reports:
        answer = _answer(report, after)
        if answer.result == "recorded":
            try:
                after = _walked(job, (*good, report), papers, now)[1]
                good.append(report)
            except (IllegalTransition, Invalid) as bug:
                bugs.append(bug)
                answer = replace(answer, result="refused", detail=f"{report.event} cannot follow {job.state}")
        answers.append(answer)
    return Reading(job=job, papers=papers, after=after, answers=answers, bugs=bugs)


def _answer(report: AgentReport, job: Job) -> Answer:
    """What becomes of a report about this job, if its event can follow."""
    if report.epoch != job.epoch:
        return Answer(report=report, result="stale", detail=f"the job's lease is now of epoch {job.epoch}")
    return Answer(report=report, result="recorded")


def _walked(job: Job, reports: Sequence[AgentReport], papers: Papers, now: datetime) -> tuple[tuple[Step, ...], Job]:
    """What the reports mean for a job, and the job after them.

    :raises IllegalTransition: one of them cannot follow.
    :raises Invalid: by one of them the job's document would be none.
    """
    steps: tuple[Step, ...] = ()
    altered: Document | None = None
    for report in reports:
        if report.epoch != job.epoch:  # what it tells of has been leased or tried again since
            continue
        document = (altered or papers(job)) if reads_document(report) else None
        step = Step(event=event_of(report, job, document), detail=detail_of(report))
        after = walk(job, (step,), now, settle=False)[0]
        if document is not None and after.revision != job.revision:
            altered = document_after(report, document)
            step = replace(step, document=altered.raw)
        job, steps = after, (*steps, step)
    return steps, job
