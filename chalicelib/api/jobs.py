"""The routes of jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.api import render
from chalicelib.api.bodies import idempotency_key, json_of, raw_json, repeated_query
from chalicelib.api.guard import caller_of
from chalicelib.api.problems import answers, login_url
from chalicelib.api.rooms import rooms
from chalicelib.core.document import HOLD
from chalicelib.core.errors import Fault, Invalid, NotFound
from chalicelib.core.holds import Hold, hold_of
from chalicelib.core.ids import JobNumber, SiteId
from chalicelib.core.job import State
from chalicelib.core.ports.jobs import Wanted
from chalicelib.core.shape import Field, Record

if TYPE_CHECKING:
    from chalicelib.service.jobs import Seen

routes = Blueprint(__name__)

JOBS, READ = "jobs", "read"
_HOLD = Record(fields={"hold": Field(shape=HOLD.shape, default=True)})
USUAL_PAGE, LARGEST_PAGE = 50, 200
_KNOWN = ("state", "site", "tag", "name", "limit", "marker")


@routes.route("/v1/jobs", methods=["POST"])
@answers
def post_jobs() -> Response:
    """Take jobs on: one document, or up to 1,000."""
    request = routes.current_request
    caller = caller_of(request, JOBS)
    posted = rooms().post_jobs.post(caller, raw_json(request), idempotency_key(request))
    body = render.posted(posted, rooms().base_url)
    headers: dict[str, str | list[str]] = {"Idempotency-Replayed": "true"} if posted.replayed else {}
    if len(posted.jobs) == 1:
        headers["Location"] = body["jobs"][0]["url"]
    return Response(body, headers=headers, status_code=201)


@routes.route("/v1/jobs", methods=["GET"])
@answers
def list_jobs() -> Response:
    """A page of the caller's jobs, newest first."""
    request = routes.current_request
    caller = caller_of(request, READ)
    wanted, limit, marker = _listing(repeated_query(request))
    page, after = rooms().jobs.page(caller, wanted, limit, marker)
    link = _login_link(page[0]) if page else None
    return Response({"jobs": [_body(seen, link) for seen in page], "marker": after})


@routes.route("/v1/jobs/{number}", methods=["GET"])
@answers
def get_job(number: str) -> Response:
    """One job, whole."""
    caller = caller_of(routes.current_request, READ)
    return _whole(rooms().jobs.show(caller, _number(number)))


@routes.route("/v1/jobs/{number}", methods=["DELETE"])
@answers
def cancel_job(number: str) -> Response:
    """Ask for a job's end."""
    caller = caller_of(routes.current_request, JOBS)
    seen, going_on = rooms().jobs.cancel(caller, _number(number))
    return _whole(seen, 202 if going_on else 200)


@routes.route("/v1/jobs/{number}", methods=["PATCH"])
@answers
def alter_job(number: str) -> Response:
    """Change a job's document by a JSON merge patch."""
    request = routes.current_request
    caller = caller_of(request, JOBS)
    return _whole(rooms().jobs.alter(caller, _number(number), raw_json(request)))


@routes.route("/v1/jobs/{number}/hold", methods=["POST"])
@answers
def hold_job(number: str) -> Response:
    """Keep a job from the scheduler, and with ``{"hold": "staging"}`` its inputs from the site."""
    request = routes.current_request
    caller = caller_of(request, JOBS)
    kind = hold_of(json_of(request, _HOLD)["hold"]) if request.raw_body else Hold.RUN
    if kind is None:
        raise Invalid((Fault("/hold", "must be true or staging; a hold is ended by /release"),))
    return _whole(rooms().jobs.hold(caller, _number(number), kind))


@routes.route("/v1/jobs/{number}/release", methods=["POST"])
@answers
def release_job(number: str) -> Response:
    """End a hold."""
    caller = caller_of(routes.current_request, JOBS)
    return _whole(rooms().jobs.release(caller, _number(number)))


@routes.route("/v1/jobs/{number}/retry", methods=["POST"])
@answers
def retry_job(number: str) -> Response:
    """Try a failed job again."""
    caller = caller_of(routes.current_request, JOBS)
    return _whole(rooms().jobs.retry(caller, _number(number)))


@routes.route("/v1/jobs/{number}/story", methods=["GET"])
@answers
def job_story(number: str) -> Response:
    """All that happened to a job."""
    caller = caller_of(routes.current_request, READ)
    return Response(render.story(rooms().jobs.story(caller, _number(number))))


def _whole(seen: Seen, status: int = 200) -> Response:
    return Response(_body(seen, _login_link(seen)), status_code=status)


def _body(seen: Seen, link: str | None) -> dict[str, Any]:
    """``link`` ends the need on the user's desk; what a site demands of a sign-in besides has a link of its own."""
    here = rooms()
    way = link if seen.door is None else login_url(seen.door)
    return render.job(seen, here.base_url, way, here.clock.now())


def _login_link(seen: Seen) -> str | None:
    """Where the user ends the need on their desk, if there is one: the same for all of their jobs."""
    from chalicelib.service.waking import demand

    need = seen.desk.plan.need
    return None if need is None else login_url(rooms().me.link(seen.job.ref.user, demand(need)))


def _number(text: str) -> JobNumber:
    if re.fullmatch(r"[1-9][0-9]{0,9}", text) is None:
        raise NotFound(f"{text[:20]!r} is not the number of a job.")
    return JobNumber(int(text))


def _listing(query: dict[str, list[str]]) -> tuple[Wanted, int, str | None]:
    """Read a listing's parameters; every fault is named."""
    faults = [Fault(f"?{name}", f"is not known; use {', '.join(_KNOWN)}") for name in query if name not in _KNOWN]
    states = {word for text in query.get("state", []) for word in text.split(",") if word}
    faults += [Fault("?state", f"{word!r} is not a state") for word in sorted(states - set(State))]
    tags = {}
    for text in query.get("tag", []):
        key, colon, value = text.partition(":")
        if not colon:
            faults.append(Fault("?tag", "must be <tag>:<value>"))
        tags[key] = value
    limit = query.get("limit", [str(USUAL_PAGE)])[-1]
    if re.fullmatch(r"[0-9]{1,3}", limit) is None or not 1 <= int(limit) <= LARGEST_PAGE:
        faults.append(Fault("?limit", f"must be from 1 to {LARGEST_PAGE}"))
    if faults:
        raise Invalid(tuple(faults))
    site = query.get("site", [None])[-1]
    wanted = Wanted(
        states=frozenset(states),
        site=None if site is None else SiteId(site),
        name=query.get("name", [None])[-1],
        tags=tags,
    )
    return wanted, int(limit), query.get("marker", [None])[-1]
