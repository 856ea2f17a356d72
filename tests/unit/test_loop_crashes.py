"""The planner and the site's calls cut off at every port call in turn: each job still ends as it should.

A crash after the effect of one call is a crash before that of the next, so cutting before each call covers
both. An answer that is lost after its effect is something else: the pass sees an error and lives on. Both are
tried at every call that a scenario makes, and of the site's own call too: its request does not arrive, or its
answer. Afterwards only time passes: no ring arrives but the sweep's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest
from loop_house import ADA, AGENT, ARCHIVE, LAB, OTHER, SCRATCH, START, THETA, CrashNow, House, a_document
from whole_story import all_story_faults

from chalicelib.core.errors import FarSide
from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobNumber, UserId, user_tag
from chalicelib.core.job import Stage, State
from chalicelib.core.sync import SyncRequest
from chalicelib.service.sync import Synced

MINUTES = 90
HOME = f"/scratch/{user_tag(ADA.user)}"
Ends = Mapping[int, Collection[State]]


READS = frozenset(
    {
        *("desks.read", "desks.inbox", "batches.get", "jobs.get", "jobs.get_many", "jobs.documents"),
        *("queue.due", "access.access_token"),
        *("globus.look", "globus.find", "globus.skipped", "globus.delivered", "globus.errors"),
    }
)
"""Calls that leave nothing behind: a crash before one of these is a crash before the next call that does."""


class StoreGone(Exception):
    """The store did its work and its answer was lost."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """Indexes behind by ``lag`` writes until a minute is over; each ring and each call of the site ``twice`` at once
    and again late: the ring after a minute, the call after three newer ones."""

    lag: int = 0
    twice: bool = False


FAIR, ROUGH = Weather(), Weather(lag=3, twice=True)
CALLS_LATE = 3


@dataclass
class TwiceAndLate:
    """A wire on which each call of the site arrives twice, its first answer lost, and once more after newer ones."""

    house: House
    calls: list[SyncRequest] = field(default_factory=list)

    def __call__(self, request: SyncRequest) -> Synced:
        self._deliver(request)
        answer = self._deliver(request)
        self.calls.append(request)
        if len(self.calls) > CALLS_LATE:
            self._deliver(self.calls.pop(0))
        return answer

    def _deliver(self, request: SyncRequest) -> Synced:
        answer = self.house.syncing.sync(AGENT, THETA, request)
        refused = [f"{each.report.text}: {each.detail}" for each in answer.answers if each.result == "refused"]
        assert not refused, f"a call that came again was taken amiss: {refused}"
        return answer


@dataclass
class Scenario:
    """What is posted, what happens along the way, and how each job is to end.

    ``meanwhile`` is called after each minute, for what users do when they see something; ``goes_on`` says that they
    have not done all of it, though every job is final. ``once`` says that
    nothing goes wrong in it, so that each item travels in exactly one task.
    """

    documents: list[dict[str, object]]
    ends: Ends
    before: Callable[[House], None] = lambda house: None
    meanwhile: Callable[[House], None] = lambda house: None
    goes_on: Callable[[House], bool] = lambda house: False
    once: bool = True
    results: int = 2
    takes: timedelta = timedelta(seconds=20)
    cut_post: bool = False
    """Its POST may be cut as well; the client repeats it under the same key until it is answered."""

    def run(self, trip: Trip, weather: Weather = FAIR) -> House:
        house = House(lag=weather.lag)
        house.globus.takes = self.takes
        if weather.twice:
            house.agent.wire = TwiceAndLate(house)
        self.before(house)
        self._post(house, trip)
        house.gate = trip
        late: list[tuple[UserId, int]] = []
        for _ in range(MINUTES):
            trip.armed = False
            self.meanwhile(house)
            house.clock.turn(minutes=1)
            house.rows.catch_up()
            house.rung.take()
            house.sweep.run()
            rung = house.rung.take()
            if weather.twice:
                rung, late = [*rung, *late, *rung], rung
            trip.armed = True
            for user, _ in rung:
                trip.survive(partial(house.reconciler.wake, user, house.time_left))
            trip.survive(lambda: house.agent.work(1))
            if self.goes_on(house):
                continue
            over = (job.state.final and not job.cleanup and job.ahead is None for job in house.committed())
            if not house.agent.held and all(over):
                break
        trip.armed = False
        return house

    def _post(self, house: House, trip: Trip) -> None:
        if not self.cut_post:
            house.post(*self.documents)
            return
        house.gate, trip.armed = trip, True
        answered: list[JobNumber] = []
        while not answered:
            trip.survive(lambda: answered.extend(house.post(*self.documents, key="again")))
            house.clock.turn(seconds=50)
        trip.armed = False


@dataclass
class Trip:
    """Cuts at call number ``at``, or counts the calls if that is None."""

    at: int | None = None
    lost_answer: bool = False
    armed: bool = False
    calls: list[str] = field(default_factory=list)

    def __call__(self, call: str, moment: str) -> None:
        if not self.armed:
            return
        if moment == "before":
            self.calls.append(call)
        if len(self.calls) - 1 != self.at or moment != ("after" if self.lost_answer else "before"):
            return
        self.at = None
        if not self.lost_answer:
            raise CrashNow
        if call.startswith("globus."):
            raise FarSide("transfer", "ConnectionError", "Globus did not answer.", transient=True)
        raise StoreGone

    def survive(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (CrashNow, StoreGone):
            pass
        except FarSide as fault:
            if fault.code != "ConnectionError":
                raise


def on_state(state: State, number: int = 1001) -> Callable[[House], None]:
    """The user cancels the job when they see it in this state."""

    def act(house: House) -> None:
        job = house.job(number)
        if job.state is state and not job.cancel_requested:
            house.manage.cancel(ADA, JobNumber(number))

    return act


def cancels_both(house: House) -> None:
    if house.job(1002).state is State.STAGE_IN:
        for number in (1001, 1002):
            house.manage.cancel(ADA, JobNumber(number))


def canceled_and_rejected(house: House) -> None:
    """The scheduler would not have the job, and says so after its user has cancelled it."""
    for ref, held in house.agent.held.items():
        if held["reports"] and held["reports"][0]["event"] == "queued":
            held["reports"] = [{"job": ref, "epoch": held["epoch"], "event": "rejected", "detail": "no"}]
            held["native"] = None
            house.manage.cancel(ADA, JobNumber(1001))


def holds_and_releases(house: House) -> None:
    minute = (house.clock.now() - START).seconds // 60
    if minute == 3 and house.job(1001).state is State.NEW:
        house.manage.release(ADA, JobNumber(1001))
    if minute == 4 and house.job(1001).state in (State.NEW, State.STAGE_IN):
        house.manage.hold(ADA, JobNumber(1001), Hold.STAGING)
    if minute == 8 and house.job(1001).hold is not None:
        house.manage.release(ADA, JobNumber(1001))


def fails_twice(house: House) -> None:
    """Its first two runs end badly."""
    house.agent.ends[1001] = {"outcome": "error", "exit_code": 3}
    if house.rows.jobs and house.job(1001).attempt == 3:
        house.agent.ends.clear()


def rejects_the_first(house: House) -> None:
    for ref, held in house.agent.held.items():
        if held["epoch"] == 1 and held["reports"] and held["reports"][0]["event"] == "queued":
            held["reports"] = [{"job": ref, "epoch": 1, "event": "rejected", "detail": "no"}]


def puts_the_late_input(house: House) -> None:
    if house.job(1001).attempt == 2:
        house.globus.put(LAB, "/late/x")


def cures_the_archive_and_asks_again(house: House) -> None:
    if house.job(1001).state is State.FAILED:
        house.globus.bad_paths.clear()
        house.manage.retry(ADA, JobNumber(1001))


def starts_after_a_while(house: House) -> None:
    """So late that the inputs of a new way, which may take an hour, set out after half an hour."""
    house.agent.starts_at = START + timedelta(minutes=150)


def cancels_when_held(house: House) -> None:
    if house.job(1001).native_id is not None and house.job(1001).state is State.NEW:
        house.manage.cancel(ADA, JobNumber(1001))


def cancels_a_held_job_whose_data_moves(house: House) -> None:
    if house.job(1001).native_id is not None and house.job(1001).state is State.STAGE_IN:
        house.manage.cancel(ADA, JobNumber(1001))


def deletes_it_at_the_scheduler(house: House) -> None:
    if (house.clock.now() - START).seconds // 60 == 5:
        house.agent.deleted = {1001}


def alters_what_it_may(house: House) -> None:
    """Each minute, until a site has it."""
    job = house.job(1001)
    if job.state in (State.STAGE_IN, State.STAGED) and job.leased_until is None and job.revision < 4:
        house.manage.alter(ADA, JobNumber(1001), {"attributes": {"duration": 600 + job.revision}})


def posts_a_parent(house: House) -> None:
    house.post(a_document())


def posts_a_failing_parent_and_its_child(house: House) -> None:
    with_an_exit_code(house)
    house.post(a_document(source=None, results=False))
    house.post(a_document(depends_on=[1001]))


def without_consent(house: House) -> None:
    house.globus.without_consent = {LAB}


def signs_in_when_asked(house: House) -> None:
    if house.desk().plan.need is not None and house.globus.without_consent:
        house.globus.without_consent = set()
        house.sign_in()


def with_a_dead_token(house: House) -> None:
    house.access.refused = True


def signs_in_again_when_asked(house: House) -> None:
    if house.desk().plan.need is not None and house.access.refused:
        house.sign_in()


def dies_on_the_way(house: House) -> None:
    """The token is refused when data has begun to move; the user signs in as soon as they are asked to."""
    if not house.globus.tasks and house.job(1001).in_flight:
        return
    if house.globus.live() and not house.globus.cancels and house.access.version == 1:
        house.access.version, house.access.refused = 2, True
    signs_in_again_when_asked(house)


def canceled_without_a_token(house: House) -> None:
    """The job is cancelled while its task cannot be reached; then the user signs in."""
    if house.globus.live() and house.access.version == 1:
        house.access.version, house.access.refused = 2, True
        house.manage.cancel(ADA, JobNumber(1001))
    signs_in_again_when_asked(house)


def suspended_on_the_way(house: House) -> None:
    """A collection's credential expires; Globus takes two minutes after the login to go on."""
    if house.globus.live() and house.access.version == 1:
        house.access.version, house.globus.suspended = 2, {LAB}
    if house.access.version == 2 and house.desk().plan.need is not None:
        house.access.version = 3
        house.sign_in()
    elif house.access.version in (3, 4):
        house.access.version += 1
    elif house.access.version == 5:
        house.globus.suspended = set()


def permitted_after_a_while(house: House) -> None:
    if "submit" in house.globus.calls:
        house.globus.refused.clear()


def with_a_bad_destination(house: House) -> None:
    house.globus.bad_paths = {f"{HOME}/job-1002": "PERMISSION_DENIED"}


def with_a_bad_destination_unnamed(house: House) -> None:
    """Globus's events name a path that is none of the items'."""
    with_a_bad_destination(house)
    house.globus.unnamed = True


def with_a_bad_archive(house: House) -> None:
    house.globus.bad_paths = {"/runs/1001": "PERMISSION_DENIED"}


def with_a_refused_collection(house: House) -> None:
    house.globus.put(OTHER, "/in/a")
    house.globus.refused[OTHER] = FarSide("transfer", "PermissionDenied", "no", transient=False, status=403)


def without_nodes(house: House) -> None:
    house.agent.waiting = {1001}


def nodes_when_it_is_late(house: House) -> None:
    if house.job(1001).overdue:
        house.agent.waiting.clear()


def orders_one_thing_after_another(house: House) -> None:
    """In the queue its walltime is changed, then it is held, then released; then there are nodes."""
    job = house.job(1001)
    if job.state is not State.QUEUED or job.orders:
        return
    codes = [mark.code for mark in job.trail]
    if job.revision == 1:
        house.manage.alter(ADA, JobNumber(1001), {"attributes": {"duration": 7200}})
    elif "hold_placed" not in codes:
        house.manage.hold(ADA, JobNumber(1001))
    elif "hold_released" not in codes:
        house.manage.release(ADA, JobNumber(1001))
    else:
        house.agent.waiting.clear()


def cancel_when_it_is_late(house: House) -> None:
    job = house.job(1001)
    if job.overdue and not job.state.final and not job.cancel_requested:
        house.manage.cancel(ADA, JobNumber(1001))


def without_an_agent(house: House) -> None:
    house.agent.take = 0


def an_agent_later(house: House) -> None:
    if house.job(1001).state.final:
        house.agent.take = 16


def with_an_exit_code(house: House) -> None:
    house.agent.ends[1001] = {"outcome": "error", "exit_code": 3}


def posts_a_failing_parent(house: House) -> None:
    with_an_exit_code(house)
    house.post(a_document(source=None, results=False))


JUST_IN_TIME: dict[str, object] = {"staging": "just_in_time"}
FILED: dict[str, object] = {"attributes": {"custom_attributes": {"cobalt.adopt": "held"}}}

DONE, FAILED, GONE = {State.COMPLETED}, {State.FAILED}, {State.CANCELED}
SLOW, LONG = timedelta(minutes=4), timedelta(minutes=10)
SCENARIOS = {
    "a plain job": Scenario([a_document()], {1001: DONE}),
    "a job without any transfer": Scenario([a_document(source=None, results=False)], {1001: DONE}, results=0),
    "a batch of three": Scenario([a_document() for _ in range(3)], {1001: DONE, 1002: DONE, 1003: DONE}),
    "a bulk POST": Scenario([a_document() for _ in range(3)], {1001: DONE, 1002: DONE, 1003: DONE}, cut_post=True),
    "a job that is cleaned up": Scenario([a_document(cleanup=True)], {1001: DONE}),
    "a job that fails with outputs": Scenario([a_document()], {1001: FAILED}, before=with_an_exit_code),
    "a missing input with neighbours": Scenario(
        [a_document(), a_document(source="/nowhere/"), a_document()], {1001: DONE, 1002: FAILED, 1003: DONE}
    ),
    **{
        f"cancel when {state}": Scenario(
            [a_document()],
            {1001: {State.CANCELED, State.COMPLETED} if state is State.STAGE_OUT else GONE},
            meanwhile=on_state(state),
            takes=SLOW,
        )
        for state in (State.NEW, State.STAGE_IN, State.STAGED, State.QUEUED, State.ACTIVE, State.STAGE_OUT)
    },
    "a submission refused while its cancel is under way": Scenario(
        [a_document()], {1001: GONE}, meanwhile=canceled_and_rejected
    ),
    "staging held, released and held again": Scenario(
        [a_document(hold="staging"), a_document()], {1001: DONE, 1002: DONE}, meanwhile=holds_and_releases
    ),
    "a run that is tried again": Scenario(
        [a_document(retry={"attempts": 3, "delay": 120})],
        {1001: DONE},
        before=fails_twice,
        meanwhile=fails_twice,
        once=False,
    ),
    "a submission that is tried again": Scenario(
        [a_document(retry={"attempts": 2, "delay": 120})], {1001: DONE}, meanwhile=rejects_the_first
    ),
    "an input that comes late": Scenario(
        [a_document(source="/late/", retry={"attempts": 2, "delay": 600}), a_document()],
        {1001: DONE, 1002: DONE},
        meanwhile=puts_the_late_input,
        once=False,
    ),
    "an archive that is cured meanwhile, and a retry by hand": Scenario(
        [a_document(retry={"attempts": 2, "delay": 60})],
        {1001: DONE},
        before=with_a_bad_archive,
        meanwhile=cures_the_archive_and_asks_again,
        goes_on=lambda house: house.job(1001).attempt < 3,
        once=False,
    ),
    "altered while it moves and while it is staged": Scenario(
        [a_document(), a_document()], {1001: DONE, 1002: DONE}, meanwhile=alters_what_it_may, takes=SLOW
    ),
    "just in time": Scenario([a_document(**JUST_IN_TIME)], {1001: DONE}, before=starts_after_a_while),
    "just in time of an unknown start, with company": Scenario(
        [a_document(**JUST_IN_TIME), a_document(), a_document(**JUST_IN_TIME)], {1001: DONE, 1002: DONE, 1003: DONE}
    ),
    "a missing input of a held job": Scenario(
        [a_document(source="/nowhere/", **JUST_IN_TIME), a_document()], {1001: FAILED, 1002: DONE}
    ),
    "a late input of a held job": Scenario(
        [a_document(source="/late/", retry={"attempts": 2, "delay": 600}, **JUST_IN_TIME)],
        {1001: DONE},
        meanwhile=puts_the_late_input,
        once=False,
    ),
    "cancel when held": Scenario(
        [a_document(**JUST_IN_TIME)],
        {1001: GONE},
        before=starts_after_a_while,
        meanwhile=cancels_when_held,
    ),
    "cancel when held and its data moves": Scenario(
        [a_document(**JUST_IN_TIME)], {1001: GONE}, meanwhile=cancels_a_held_job_whose_data_moves, takes=SLOW
    ),
    "a held job that is deleted at the scheduler": Scenario(
        [a_document(**JUST_IN_TIME), a_document()],
        {1001: FAILED, 1002: DONE},
        before=starts_after_a_while,
        meanwhile=deletes_it_at_the_scheduler,
    ),
    "a job that a submit filter left held": Scenario([a_document(**FILED)], {1001: DONE}),
    "a missing input of a job that a submit filter left held": Scenario(
        [a_document(source="/nowhere/", **FILED)], {1001: FAILED}
    ),
    "a held job that waits for another in vain": Scenario(
        [a_document(depends_on=[1001], **FILED)],
        {1001: FAILED, 1002: FAILED},
        before=posts_a_failing_parent,
    ),
    "a stage over its deadline, with company": Scenario(
        [a_document(deadlines={"stage_in": 600}), a_document()],
        {1001: FAILED, 1002: DONE},
        takes=timedelta(minutes=25),
        once=False,
    ),
    "no nodes by its deadline": Scenario(
        [a_document(deadlines={"queue": 600}), a_document()], {1001: FAILED, 1002: DONE}, before=without_nodes
    ),
    "altered, held and released in the queue": Scenario(
        [a_document()], {1001: DONE}, before=without_nodes, meanwhile=orders_one_thing_after_another
    ),
    "no nodes by its deadline, and some just then": Scenario(
        [a_document(deadlines={"queue": 600})],
        {1001: {State.FAILED, State.COMPLETED}},
        before=without_nodes,
        meanwhile=nodes_when_it_is_late,
    ),
    "no nodes by its deadline, and cancelled just then": Scenario(
        [a_document(deadlines={"queue": 600})],
        {1001: {State.FAILED, State.CANCELED}},
        before=without_nodes,
        meanwhile=cancel_when_it_is_late,
    ),
    "no site takes it by its deadline": Scenario(
        [a_document(deadlines={"queue": 600})], {1001: FAILED}, before=without_an_agent, meanwhile=an_agent_later
    ),
    "a job that waits for another": Scenario(
        [a_document(depends_on=[1001]), a_document(depends_on=[{"job": 1001, "when": "afternotok"}])],
        {1001: DONE, 1002: DONE, 1003: FAILED},
        before=posts_a_parent,
    ),
    "a chain whose first job fails while the others move": Scenario(
        [a_document(depends_on=[1002]), a_document(depends_on=[1002, 1001], results=False)],
        {1001: FAILED, 1002: FAILED, 1003: FAILED, 1004: FAILED},
        before=posts_a_failing_parent_and_its_child,
        takes=timedelta(hours=5),
    ),
    "one of two in a task is cancelled": Scenario(
        [a_document(), a_document()], {1001: GONE, 1002: DONE}, meanwhile=on_state(State.STAGE_IN), takes=SLOW
    ),
    "both of two in a task are cancelled": Scenario(
        [a_document(), a_document()], {1001: GONE, 1002: GONE}, meanwhile=cancels_both, takes=SLOW
    ),
    "consent is missing until the login": Scenario(
        [a_document(), a_document(source=None)],
        {1001: DONE, 1002: DONE},
        before=without_consent,
        meanwhile=signs_in_when_asked,
    ),
    "the token is dead until the login": Scenario(
        [a_document()], {1001: DONE}, before=with_a_dead_token, meanwhile=signs_in_again_when_asked
    ),
    "the token dies while data moves": Scenario([a_document()], {1001: DONE}, meanwhile=dies_on_the_way, takes=LONG),
    "a cancel while the token is dead": Scenario(
        [a_document()], {1001: GONE}, meanwhile=canceled_without_a_token, takes=timedelta(hours=5)
    ),
    "a credential expires while data moves": Scenario(
        [a_document(), a_document(lab=OTHER, source="/y")],
        {1001: DONE, 1002: DONE},
        before=lambda house: house.globus.put(OTHER, "/y"),
        meanwhile=suspended_on_the_way,
        takes=LONG,
    ),
    "a refusal that is taken back": Scenario(
        [a_document(lab=OTHER), a_document(), a_document(lab=OTHER)],
        {1001: DONE | FAILED, 1002: DONE, 1003: DONE | FAILED},
        before=with_a_refused_collection,
        meanwhile=permitted_after_a_while,
    ),
    "a destination that cannot be written": Scenario(
        [a_document() for _ in range(3)],
        {1001: DONE, 1002: FAILED, 1003: DONE},
        before=with_a_bad_destination,
        once=False,
    ),
    "a bad destination that no event names": Scenario(
        [a_document() for _ in range(3)],
        {1001: DONE, 1002: FAILED, 1003: DONE},
        before=with_a_bad_destination_unnamed,
        once=False,
    ),
    "an archive that cannot be written": Scenario(
        [a_document(), a_document()], {1001: FAILED, 1002: DONE}, before=with_a_bad_archive, once=False
    ),
    "a collection that refuses the submission": Scenario(
        [a_document(lab=OTHER), a_document(), a_document(lab=OTHER)],
        {1001: FAILED, 1002: DONE, 1003: FAILED},
        before=with_a_refused_collection,
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("lost_answer", [False, True], ids=["process cut", "answer lost"])
def test_every_job_ends_as_it_should_wherever_it_is_cut(name: str, lost_answer: bool) -> None:
    for point in points(name, lost_answer=lost_answer):
        point.prove()


@dataclass(frozen=True, kw_only=True)
class Point:
    """One crash: of a scenario, at one of its calls, before the effect or between effect and answer."""

    scenario: str
    at: int
    call: str
    lost_answer: bool
    weather: Weather

    def __str__(self) -> str:
        how = "answer lost at" if self.lost_answer else "cut before"
        rough = ", in rough weather" if self.weather == ROUGH else ""
        return f"{self.scenario}: {how} call {self.at}, {self.call}{rough}"

    def prove(self) -> None:
        """Run the scenario with this crash, and check how it ends."""
        trip, scenario = Trip(at=self.at, lost_answer=self.lost_answer), SCENARIOS[self.scenario]
        house = scenario.run(trip, self.weather)
        # A call that answers by an error of its own has no answer to lose.
        assert trip.at is None or self.lost_answer, f"{self} was never made"
        check(scenario, house, str(self))


def points(name: str, *, lost_answer: bool, weather: Weather = FAIR) -> list[Point]:
    """Every crash point of a scenario, found by running it uncut, which must end well."""
    counting = Trip()
    check(SCENARIOS[name], SCENARIOS[name].run(counting, weather), f"{name}: uncut")
    return [
        Point(scenario=name, at=at, call=call, lost_answer=lost_answer, weather=weather)
        for at, call in enumerate(counting.calls)
        if (_loses_something(call) if lost_answer else call not in READS)
    ]


def _loses_something(call: str) -> bool:
    """Whether to lose the answer of a call is not the same as to be cut before the next."""
    return call.startswith("globus.") or (call not in READS and not call.startswith("site."))


def check(scenario: Scenario, house: House, where: str) -> None:
    # A POST that was cut may have taken numbers that nobody got.
    lost = min(house.committed(), key=lambda job: job.ref).ref.number - 1001 if scenario.cut_post else 0
    for number, ends in ((number + lost, ends) for number, ends in scenario.ends.items()):
        job = house.job(number)
        assert job.state in ends, f"{where}: {number} is {job.state}, {job.error}; {story(house, number)}"
    assert house.faults() == [], where
    assert not house.globus.live(), where
    if scenario.once:
        sent = [
            (task.batch.route.stage, member) for task in house.globus.tasks.values() for member in task.batch.members
        ]
        assert len(sent) == len(set(sent)), f"{where}: an item travelled twice"
    for number, ends in ((number + lost, ends) for number, ends in scenario.ends.items()):
        results = [name for name in house.globus.files[ARCHIVE] if name.startswith(f"/runs/{number}/")]
        if State.COMPLETED in ends and len(ends) == 1:
            assert len(results) == scenario.results, f"{where}: {number} left {results}"
    assert not house.agent.waits, f"{where}: a job is left held at the scheduler"
    assert len(house.agent.ran) == len(set(house.agent.ran)), f"{where}: a job ran twice"
    assert house.agent.refused == [], where
    assert all_story_faults(house.jobs, house.committed()) == [], where
    finished(house, where)


def story(house: House, number: int) -> str:
    marks = ", ".join(f"{mark.at:%H:%M} {mark.code}->{mark.state}" for mark in house.job(number).trail)
    return f"{marks}; {house.desk()}"


def finished(house: House, where: str) -> None:
    """Nothing is left to do: no batch, no inbox, no wake, however often somebody rings."""
    for _ in range(3):
        house.clock.turn(minutes=10)
        house.by_sweep_alone()
    assert house.desk().plan.batches == (), where
    assert house.inbox() == [], where
    assert house.desk().wake_at is None, where
    assert house.desk().plan.need is None, where
    before = (dict(house.rows.jobs), house.desk())
    assert not house.wake(), where
    assert (dict(house.rows.jobs), house.desk()) == before, where


def test_a_scenario_uses_both_stages() -> None:
    house = SCENARIOS["a plain job"].run(Trip())
    assert {task.batch.route.stage for task in house.globus.tasks.values()} == {Stage.STAGE_IN, Stage.STAGE_OUT}
    assert SCRATCH in house.globus.files
