"""What the stores' tests share: the template of the tables, and records that have no field at its default."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from chalicelib.core.batch import Batch, Member
from chalicelib.core.consent import LoginReason, SessionDemand
from chalicelib.core.dependencies import Parent, When
from chalicelib.core.desk import InboxItem, LiveBatch, LoginNeed, Look, Plan, Route, Trouble
from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, JobRef, SiteId, SubmissionId, TaskId, UserId
from chalicelib.core.job import Deadlines, Job, Leg, LegStatus, Mark, Outcome, Retry, Stage, State
from chalicelib.core.orders import Order, Verb
from chalicelib.core.sites import Mount, Site
from emulators.aws.template import read_template

Answer = TypeVar("Answer")

TEMPLATE = read_template(Path(__file__).parents[3] / "infra/template.json")
NOON = datetime(2026, 11, 22, 12, 0, 0, 123457, tzinfo=UTC)
LAB, ARCHIVE = (
    CollectionId("6f7c1c1e-0000-4000-8000-000000000001"),
    CollectionId("6f7c1c1e-0000-4000-8000-000000000002"),
)
ROUTE = Route(stage=Stage.STAGE_IN, source=LAB, destination=ARCHIVE)


def new_user() -> UserId:
    return UserId(str(uuid.uuid4()))


def ref(user: UserId, number: int = 1001) -> JobRef:
    return JobRef(user=user, number=JobNumber(number))


def a_job(at: JobRef, **fields: Any) -> Job:
    """A job of which nothing has happened yet, but for the given fields."""
    plain: dict[str, Any] = {
        "owner": "ada@uni.example",
        "site": SiteId("theta"),
        "name": "md-run",
        "index": 0,
        "created_at": NOON,
        "updated_at": NOON,
        "posted": "d1g3st",
        "trail": (Mark(version=1, at=NOON, code="submitted", state=State.NEW),),
    }
    return Job(ref=at, **{**plain, **fields})


def a_full_job(at: JobRef) -> Job:
    """A job with no field at its default: what a store forgets shows."""
    return Job(
        ref=at,
        owner="ada@uni.example",
        site=SiteId("theta"),
        name="md-run",
        index=7,
        created_at=NOON,
        updated_at=NOON + timedelta(microseconds=1),
        state=State.STAGE_OUT,
        version=12,
        revision=2,
        legs=(
            Leg(item=0),
            Leg(item=1, status=LegStatus.MOVING, batch=BatchId("b-1")),
            Leg(item=2, status=LegStatus.DONE, batch=BatchId("b-1"), files=3, bytes=0),
            Leg(item=3, status=LegStatus.ABSENT),
            Leg(item=4, status=LegStatus.FAILED, batch=BatchId("b-2"), error="NOT_FOUND", share=500),
        ),
        epoch=2,
        leased_until=NOON + timedelta(minutes=10),
        native_id="4711.theta",
        outcome=Outcome.WALLTIME,
        exit_code=0,
        failed_stage=Stage.RUN,
        error="walltime",
        told=11,
        exited=10,
        cancel_requested=True,
        hold=Hold.STAGING,
        orders=(Order(number=5, verb=Verb.ALTER, terms={"duration": 60}), Order(number=6, verb=Verb.HOLD)),
        answered=4,
        deadlines=Deadlines(stage_out=600, queue=900),
        overdue=True,
        retry=Retry(attempts=3, delay=0),
        attempt=2,
        not_before=NOON + timedelta(hours=1),
        parents=(Parent(number=JobNumber(1002)), Parent(number=JobNumber(1003), when=When.NOT_OK)),
        broken=JobNumber(1003),
        awaited=True,
        cleanup=True,
        waiting_for=frozenset({"slot", "space"}),
        posted="d1g3st",
        trail=(
            Mark(version=1, at=NOON, code="submitted", state=State.NEW),
            Mark(version=2, at=NOON + timedelta(days=40), code="queued", state=State.QUEUED, note="4711.theta"),
        ),
        tags={"run": "7", "größe": "☃"},
        size=1234,
    )


def a_full_plan(version: int = 3) -> Plan:
    need = LoginNeed(
        reason=LoginReason.SESSION,
        words="sign in again",
        since=NOON,
        collections=frozenset({LAB, ARCHIVE}),
        scopes=("openid", "email"),
        session=SessionDemand(message="fresh", identities=("i",), policies=("p", "q"), mfa=True),
    )
    live = LiveBatch(
        batch=BatchId("b-1"),
        submission=SubmissionId("s-1"),
        route=ROUTE,
        opened_at=NOON,
        task=TaskId("t-1"),
        canceling="EACCES",
        look=Look(files=1, bytes=2, paused=True, trouble="QUOTA", words="no space left"),
    )
    waiting = LiveBatch(batch=BatchId("b-2"), submission=SubmissionId("s-2"), route=ROUTE, opened_at=NOON)
    trouble = Trouble(code="ServiceUnavailable", words="try later", since=NOON)
    return Plan(version=version, claimed_until=NOON, batches=(live, waiting), failures=2, need=need, trouble=trouble)


def a_batch(user: UserId, members: int = 3, **fields: Any) -> Batch:
    return Batch(
        **{
            "id": BatchId("b-1"),
            "user": user,
            "submission": SubmissionId("s-1"),
            "route": ROUTE,
            "members": tuple(Member(JobNumber(1001 + n // 2), n % 2, 1) for n in range(members)),
            "deadline": NOON,
            **fields,
        }
    )


def a_site(name: str, **fields: Any) -> Site:
    mount = Mount(collection=LAB, path="/scratch/", directory="/lus/scratch/")
    return Site(
        **{
            "id": SiteId(name),
            "owner": UserId("owner"),
            "scheduler": "cobalt",
            "mappings": (mount,),
            "created_at": NOON,
            **fields,
        }
    )


def a_fact(number: int = 1001, **fields: Any) -> InboxItem:
    return InboxItem(**{"id": f"{number:020d}", "numbers": (JobNumber(number),), **fields})


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    """Run the calls in as many threads, and return their answers in order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(call) for call in calls]]
