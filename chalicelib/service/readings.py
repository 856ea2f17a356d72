"""What an agent's reports mean for a job: each is read against what those before it have made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.document import Document
from chalicelib.core.job import Job
from chalicelib.core.lifecycle import IllegalTransition
from chalicelib.core.sync import AgentReport, detail_of, event_of
from chalicelib.service.changing import Decide, Step, walk


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
    document: Document | None
    after: Job
    answers: Sequence[Answer]
    bugs: Sequence[IllegalTransition]

    @property
    def changes(self) -> bool:
        """Whether each of them can be and they change the job."""
        return self.after is not self.job and all(answer.result == "recorded" for answer in self.answers)

    def deciding(self, now: datetime) -> Decide:
        """Reads those that can be against what the job has become."""

        def decide(current: Job) -> tuple[Step, ...]:
            steps: tuple[Step, ...] = ()
            for report in (answer.report for answer in self.answers if answer.result == "recorded"):
                more, current = _recorded(current, report, self.document, now)
                steps += more
            return steps

        return decide


def read_reports(job: Job, reports: Sequence[AgentReport], document: Document | None, now: datetime) -> Reading:
    """Read the reports one after the other. One that is bad by itself never keeps back the others."""
    answers, bugs, after = [], [], job
    for report in reports:
        answer = _answer(report, after)
        if answer.result == "recorded":
            try:
                after = _recorded(after, report, document, now)[1]
            except IllegalTransition as bug:
                bugs.append(bug)
                answer = replace(answer, result="refused", detail=f"{report.event} cannot follow {job.state}")
        answers.append(answer)
    return Reading(job=job, document=document, after=after, answers=answers, bugs=bugs)


def _answer(report: AgentReport, job: Job) -> Answer:
    """What becomes of a report about this job, if its event can follow."""
    if report.epoch != job.epoch:
        return Answer(report=report, result="stale", detail=f"the job's lease is now of epoch {job.epoch}")
    return Answer(report=report, result="recorded")


def _recorded(job: Job, report: AgentReport, document: Document | None, now: datetime) -> tuple[tuple[Step, ...], Job]:
    """What the report means for a job, and the job after it.

    :raises IllegalTransition: it cannot follow.
    """
    if report.epoch != job.epoch:  # what it tells of has been leased or tried again since
        return (), job
    steps = (Step(event=event_of(report, job, document), detail=detail_of(report)),)
    return steps, walk(job, steps, now, settle=False)[0]
