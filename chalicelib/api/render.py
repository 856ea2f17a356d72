"""Jobs, sites and syncs as JSON. What a client sees of a record is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.api.problems import login_url
from chalicelib.core.error_words import words_of
from chalicelib.core.forecast import Standing, held_up
from chalicelib.core.globus_codes import waits_for_user
from chalicelib.core.holds import Hold
from chalicelib.core.job import Job, LegStatus, Mark, Stage, State
from chalicelib.core.just_in_time import begin_at, usual_time, ways_in
from chalicelib.core.orders import patch_of
from chalicelib.core.progress import stage_of, waits_for_start
from chalicelib.core.sessions import NEVER
from chalicelib.core.site_demands import demands_document

if TYPE_CHECKING:
    from chalicelib.core.desk import LiveBatch, Look
    from chalicelib.core.journey import Journey
    from chalicelib.core.orders import Order
    from chalicelib.core.sites import Site
    from chalicelib.service.commanding import Command
    from chalicelib.service.jobs import Seen, Story
    from chalicelib.service.leasing import Lease
    from chalicelib.service.outlooks import Prospect
    from chalicelib.service.posting import Posted
    from chalicelib.service.sync import Synced

Body = dict[str, Any]


def time(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def job(seen: Seen, base_url: str, login_url: str | None, now: datetime) -> Body:
    """One job. ``login_url`` is where its user can sign in, given if the job waits for that."""
    status = seen.job
    waiting = waiting_for(seen, now)
    body: Body = {
        "id": status.ref.number,
        "name": status.name,
        "state": status.state,
        "site": status.site,
        "waiting_for": sorted(waiting),
        "url": job_url(base_url, status.ref.number),
        "created_at": time(status.created_at),
        "updated_at": time(status.updated_at),
        "revision": status.revision,
        "version": status.version,
        "native_id": status.native_id,
        "exit_code": status.exit_code,
        "failed_stage": status.failed_stage,
        "error": _error(seen),
        "attempt": status.attempt,
        "next_try_at": time(status.not_before),
        "cancel_requested": status.cancel_requested,
        "hold": _hold(status.hold),
        "pending": [_order(each) for each in status.orders],
        "starts_at": time(status.starts_at),
        "stage_in_at": time(_sets_out(seen, now)),
        **_session(seen.prospect),
        "staging": _staging(seen),
        "directory": _directory(seen),
        "tags": dict(status.tags),
        "started_at": time(_when(status, "active")),
        "exited_at": time(_when(status, "exited")),
        **_asked(status.journey),
    }
    if "login" in waiting and login_url is not None:
        body["login_url"] = login_url
    if seen.document is not None:
        body["document"] = dict(seen.document)
        body["output_tail"] = None if seen.exited is None else seen.exited.detail.get("tail")
    return body


def _sets_out(seen: Seen, now: datetime) -> datetime | None:
    """When the inputs of a job that awaits its start set out, by what is known now."""
    if seen.site is None or not waits_for_start(seen.job):
        return None
    takes = usual_time(seen.desk.plan, ways_in(seen.job, seen.site.home))
    return begin_at(seen.job.starts_at, takes, now)


def _when(status: Job, code: str) -> datetime | None:
    """When an event of this code last happened to the job."""
    return next((mark.at for mark in reversed(status.trail) if mark.code == code), None)


def _asked(journey: Journey | None) -> Body:
    """What the job asks of the scheduler, so that a listing needs no document."""
    if journey is None:
        return {}
    return {
        "resources": {"node_count": journey.nodes, "process_count": journey.processes or None},
        "attributes": {
            "duration": journey.walltime,
            "queue_name": journey.queue or None,
            "account": journey.account or None,
        },
    }


def job_url(base_url: str, number: int) -> str:
    return f"{base_url}/v1/jobs/{number}"


def waiting_for(seen: Seen, now: datetime) -> frozenset[str]:
    """What the job waits for: what is stored on it, and what its desk and its site tell."""
    status = seen.job
    if status.state.final:
        return frozenset()
    found = set(status.waiting_for)
    need = seen.desk.plan.need
    home = None if seen.site is None else seen.site.home
    if seen.door is not None:
        found.add("login")
    if need is not None and (held_up(status, home, need) or any(_waits_for_user(live) for live in _batches(seen))):
        found.add("login")
    if _meets_full_disk(seen):
        found.add("space")
    if status.not_before is not None and now < status.not_before:
        found.add("retry")
    if waits_for_start(status):
        found.add("start")
    if status.parents:
        found.add("dependency")
    if any(look.paused for look in _looks(seen)):
        found.add("paused_collection")
    at_site = status.ahead is not None or status.state in (State.STAGED, State.QUEUED, State.ACTIVE)
    if at_site and seen.site is not None and seen.site.silent(now):
        found.add("site")
    return frozenset(found)


def _meets_full_disk(seen: Seen) -> bool:
    """Whether what is left of the job's stage goes to a collection that is known to be full."""
    full = {each.collection for each in seen.desk.plan.full}
    if not full or all(leg.status.settled for leg in seen.job.legs):
        return False
    named = seen.job.moving_in()
    ends = {live.route.destination for live in seen.desk.plan.batches if live.batch in named}
    if stage_of(seen.job) is Stage.STAGE_IN and seen.site is not None:
        ends |= {mount.collection for mount in seen.site.mappings}
    return not full.isdisjoint(ends)


def story(told: Story) -> Body:
    """A job's story, oldest first."""
    return {
        "id": told.job.ref.number,
        "entries": [
            {
                "time": time(mark.at),
                "version": mark.version,
                "event": mark.code,
                "state": mark.state,
                "detail": _detail(told, mark),
            }
            for mark in told.job.trail
        ],
    }


_NOTES = {
    "settled": "task",
    "queued": "native_id",
    "hold_placed": "hold",
    "order_refused": "command",
    "dependency_met": "job",
    "dependency_broken": "job",
}
"""What the note of an event's mark is."""


def _detail(told: Story, mark: Mark) -> Body:
    noted: Body = {_NOTES[mark.code]: mark.note} if mark.note and mark.code in _NOTES else {}
    if mark.code.endswith("_retried"):
        attempt, _, error = mark.note.partition(" ")
        noted = {"attempt": int(attempt), "after": error}
    if mark.code == "held_ahead":
        native, _, start = mark.note.partition(" ")
        noted = {"native_id": native, "starts_at": start or "unknown"}
    tale = told.tales.get(mark.version)
    return {**noted, **({} if tale is None else tale.detail)}


def site(record: Site, now: datetime) -> Body:
    """A site, as its users see it."""
    return {
        "id": record.id,
        "title": record.title,
        "owner": record.owner,
        "scheduler": record.scheduler,
        "mappings": [
            {"collection": mount.collection, "path": mount.path, "directory": mount.directory}
            for mount in record.mappings
        ],
        "roots": list(record.roots),
        "defaults": {"queue_name": record.queue_name, "account": record.account},
        "users": sorted(record.users),
        "queue_wait": record.queue_wait,
        "demands": demands_document(record.demands),
        "created_at": time(record.created_at),
        "agent": {
            "host": record.agent_host,
            "until": time(record.agent_until),
            "state": "silent" if record.silent(now) else "serving",
        },
    }


def synced(answer: Synced) -> Body:
    """The answer to a sync."""
    return {
        "answers": [
            {
                "job": each.report.text,
                "epoch": each.report.epoch,
                "event": each.report.event,
                "result": each.result,
                "detail": each.detail,
            }
            for each in answer.answers
        ],
        "leases": [_lease(answer.site, each) for each in answer.leases],
        "commands": [_command(each) for each in answer.commands],
        "next_seconds": answer.next_seconds,
    }


def _lease(at: Site, lease: Lease) -> Body:
    status, document = lease.job, lease.document
    values = document.values
    attributes = dict(values["attributes"] or {"duration": 600})
    attributes["queue_name"] = attributes.get("queue_name") or at.queue_name
    attributes["account"] = attributes.get("account") or at.account
    user = status.ref.user
    return {
        "job": str(status.ref),
        "id": status.ref.number,
        "epoch": status.epoch,
        "attempt": status.submission,
        "staged": status.may_begin or status.submitted,
        "held": status.may_be_held,
        "submitted": status.submitted,
        "native_id": status.native_id if status.may_be_held or status.submitted else None,
        "leased_until": time(status.leased_until),
        "owner": {"id": user, "username": status.owner},
        "tag": at.job_directory(user, "").rstrip("/").rpartition("/")[2],
        "name": status.name,
        "directory": at.job_directory(user, status.directory_name()),
        "executable": document.executable,
        "arguments": list(values["arguments"]),
        "environment": values["environment"] or {},
        "inherit_environment": values["inherit_environment"],
        "files": list(values["files"]),
        "links": [{"path": item.target, "target": item.site_path} for item in document.stage_in if item.site_path],
        "staged_modes": [{"path": item.target, "mode": "0755"} for item in document.stage_in if item.executable],
        "resources": {name: value for name, value in (values["resources"] or {}).items() if value is not None},
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "outputs": [
            {"item": index, "source": item.source, "when": sorted(item.when), "symlinks": item.symlinks}
            for index, item in enumerate(document.stage_out)
        ],
        **{name: values[name] for name in ("stdin_path", "stdout_path", "stderr_path") if values[name] is not None},
    }


def _command(command: Command) -> Body:
    status = command.job
    return {
        "job": str(status.ref),
        "id": status.ref.number,
        "epoch": status.epoch,
        "attempt": status.submission,
        "command": command.word,
        "native_id": status.native_id,
        "directory": command.directory,
        "paths": None if command.paths is None else list(command.paths),
        "unless_ran": command.unless_ran,
        **_order_of(command),
    }


def _order_of(command: Command) -> Body:
    """What only an order to the scheduler has: its number, and of an alteration, what is to be so."""
    if command.order is None:
        return {}
    change = patch_of(command.order.terms)
    return {"order": command.order.number, **({"change": change} if change else {})}


def _hold(hold: Hold | None) -> bool | str:
    """As a document says it: true, false, or ``staging``."""
    return hold.value if hold is Hold.STAGING else hold is not None


def _order(order: Order) -> Body:
    """What the user wants of the job at its scheduler, and the site has not answered."""
    return {"command": order.verb, "order": order.number, **patch_of(order.terms)}


def _error(seen: Seen) -> Body | None:
    if seen.job.error is None:
        return None
    told = [] if seen.told is None else [str(word) for word in seen.told.detail.get("words", [])]
    return {"code": seen.job.error, "detail": "; ".join(told) or words_of(seen.job)}


def _directory(seen: Seen) -> str | None:
    return None if seen.site is None else seen.site.job_directory(seen.job.ref.user, seen.job.directory_name())


def _looks(seen: Seen) -> list[Look]:
    return [live.look for live in _batches(seen)]


def _batches(seen: Seen) -> list[LiveBatch]:
    named = seen.job.moving_in()
    return [live for live in seen.desk.plan.batches if live.batch in named]


def _waits_for_user(live: LiveBatch) -> bool:
    """Whether the batch's task stands still until its user has signed in."""
    return live.look.trouble is not None and waits_for_user(live.look.trouble)


def _session(prospect: Prospect | None) -> Body:
    """How the login session compares with what the job still needs, and what to do about it."""
    if prospect is None:
        return {"session": None, "warnings": []}
    seen = prospect.outlook
    body: Body = {"session": seen.standing, "warnings": []}
    if seen.until is not None and prospect.link is not None:
        link = login_url(prospect.link)
        moment, end = time(None if seen.until == NEVER else seen.until), time(seen.expected_end)
        body["warnings"].append(
            {
                "code": f"session-{seen.standing.replace('_', '-')}",
                "at": moment,
                "expected_end": end,
                "collections": list(seen.collections),
                "detail": _SESSION_WORDS[seen.standing].format(moment=moment, end=end),
                "login_url": link,
            }
        )
    return body


_SESSION_WORDS = {
    Standing.ENDS: "Your sign-in at Globus counts until {moment} for a collection of this job, which is expected to "
    "need it until {end}. Sign in again before that moment, and nothing has to wait.",
    Standing.ENDS_SOON: "Your sign-in at Globus counts until {moment} only for a collection of this job, which is "
    "expected to need it until {end}. Sign in again now, and nothing has to wait.",
    Standing.ENDED: "Your sign-in at Globus does not, or no longer, meet what a collection of this job demands: the "
    "job will wait for you when it gets there. Sign in again, and it goes on by itself.",
}


def _staging(seen: Seen) -> Body | None:
    """How far the present stage is. Bytes and files are of the whole batch: Globus counts by task."""
    stage: Stage | None = stage_of(seen.job)
    if stage is None or seen.job.state.final:
        return None
    named = seen.job.moving_in()
    live = [each for each in seen.desk.plan.batches if each.batch in named]
    troubled = next((each.look for each in live if each.look.trouble), None)
    trouble: Mapping[str, Any] | None = None
    if troubled is not None:
        trouble = {"code": troubled.trouble, "detail": troubled.words}
    elif seen.desk.plan.trouble is not None:
        trouble = {"code": seen.desk.plan.trouble.code, "detail": seen.desk.plan.trouble.words}
    legs = seen.job.legs
    sizes = [leg.bytes for leg in legs if leg.status is not LegStatus.ABSENT]
    counted = stage is Stage.STAGE_OUT and None not in sizes  # outputs are counted at the site, inputs by nobody
    return {
        "stage": stage,
        "items": len(legs),
        "done": sum(1 for leg in legs if leg.status in (LegStatus.DONE, LegStatus.ABSENT)),
        "bytes": sum(each.look.bytes for each in live),
        "files": sum(each.look.files for each in live),
        "bytes_per_second": sum(each.look.bytes_per_second for each in live),
        "bytes_total": sum(filter(None, sizes)) if counted else None,
        "tasks": [each.task for each in live if each.task is not None],
        "trouble": trouble,
    }


def posted(answer: Posted, base_url: str) -> Body:
    """The answer to a POST of jobs: numbers with their names, and whether the login session will last for each."""
    sessions: dict[int, Body] = {}  # prospects are shared by jobs that are alike
    jobs = []
    for number, name in answer.jobs:
        prospect = answer.prospects.get(number)
        session = sessions.setdefault(id(prospect), _session(prospect))
        url = job_url(base_url, number)
        jobs.append({"id": number, "name": name, "state": State.NEW, "url": url, **session})
    said = {each["detail"] + " " + each["login_url"]: None for job in jobs for each in job["warnings"]}
    return {"jobs": jobs, "warnings": list(said)}
