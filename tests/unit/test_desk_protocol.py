"""The desk protocol walked at random: writers, two planners, a site and the sweep, interleaved at every call.

After each step what must always hold is looked for in what is stored; in the end every actor dies where it
stands, every ring is lost, and time passes with the sweep alone: every job ends.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from loop_actors import Stage as Theatre
from loop_house import ADA, ARCHIVE, LAB, LIFE, OTHER, House, a_document
from transfer_twin import Mishap

from chalicelib.core.due import due
from chalicelib.core.errors import CallerError, FarSide
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job, Stage
from chalicelib.core.ports.jobs import Wanted
from chalicelib.core.progress import abandoned_by, plannable, stage_of

API_LIFE = timedelta(seconds=29)
MOST_POSTS = 5
KINDS = (
    [a_document()],
    [a_document(lab=OTHER), a_document(source="/nowhere/")],
    [a_document(source=None, results=False)],
    [a_document(source="/x", cleanup=True)],
)

Choices = st.lists(st.integers(0, 999), min_size=150, max_size=400)
"""Long enough for several jobs to get somewhere; left to itself Hypothesis draws five of a list."""


def no_answer() -> Exception:
    return FarSide("transfer", "ConnectionError", "Globus did not answer.", transient=True)


class Walk:
    """One walk: what can happen next, and what must hold whatever has happened."""

    def __init__(self, lag: int) -> None:
        self.house = House(lag=lag)
        self.house.globus.put(OTHER, "/in/a")
        self.theatre = Theatre(self.house)
        self.sent: list[list[dict[str, Any]]] = []
        self.answers: dict[int, list[JobNumber]] = {}
        self.seen: dict[int, Job] = {}
        self.sent.append(KINDS[1])
        self.send(0)

    # what can happen

    def options(self) -> list[Callable[[int], None]]:
        """What could happen now; what is to happen more often is there more than once."""
        theatre = self.theatre
        found: list[Callable[[int], None]] = [self.go_on] * (30 if theatre.actors else 0)
        if theatre.count("wake") < 2:
            found += [self.wake] * 4
        if theatre.count("agent") < 1:
            found += [self.agent] * 3
        if theatre.count("api") < 2:
            found += [self.post, self.cancel, self.sign_in] * 2
        return [*found, self.turn, self.turn, self.kill, self.sweep if theatre.count("wake") < 2 else self.weather]

    def take(self, choice: int) -> None:
        options = self.options()
        options[choice % len(options)](choice // len(options))

    def go_on(self, pick: int) -> None:
        self.theatre.step(pick % len(self.theatre.actors))

    def wake(self, pick: int) -> None:
        began, clock = self.house.clock.now(), self.house.clock
        time_left = lambda: LIFE - (clock.now() - began)  # noqa: E731
        self.theatre.begin("wake", lambda: self.house.reconciler.wake(ADA.user, time_left), LIFE)

    def agent(self, pick: int) -> None:
        self.theatre.begin("agent", lambda: self.house.agent.work(1), API_LIFE)

    def post(self, pick: int) -> None:
        """A new request, or an earlier one again under its key."""
        if pick % 3 == 0 and self.sent:
            which = pick // 3 % len(self.sent)
        elif len(self.sent) < MOST_POSTS:
            which = len(self.sent)
            self.sent.append(KINDS[pick % len(KINDS)])
        else:
            return
        self.api(lambda: self.send(which))

    def send(self, which: int) -> None:
        numbers = self.house.post(*self.sent[which], key=f"key {which}")
        assert self.answers.setdefault(which, numbers) == numbers, "one key was answered in two ways"

    def cancel(self, pick: int) -> None:
        self.api(lambda: self.house.manage.cancel(ADA, JobNumber(1001 + pick % 8)))

    def sign_in(self, pick: int) -> None:
        def act() -> None:
            self.house.access.refused = False
            self.house.globus.without_consent = set()
            self.house.waking.user_signed_in(ADA.user)

        self.api(act)

    def api(self, act: Callable[[], object]) -> None:
        def call() -> None:
            try:
                act()
            except CallerError:
                return

        self.theatre.begin("api", call, API_LIFE)

    def sweep(self, pick: int) -> None:
        """The bell that nobody else rang; now and then the weather changes besides."""
        self.weather(pick)
        self.house.rung.take()
        self.house.sweep.run()
        if self.house.rung.take():
            self.wake(pick)

    def turn(self, pick: int) -> None:
        self.theatre.turn(seconds=[1, 2, 5, 5, 10, 20, 60, 400][pick % 8])

    def kill(self, pick: int) -> None:
        if self.theatre.actors:
            self.theatre.end(pick % len(self.theatre.actors))

    def weather(self, pick: int) -> None:
        match pick % 8:
            case 0:
                self.house.globus.without_consent = {LAB}
            case 1:
                self.house.access.refused = True
            case 2:
                self.house.globus.mishaps.append(Mishap("submit", no_answer, after=pick % 16 == 2))
            case 3:
                self.house.globus.mishaps.append(Mishap("look", no_answer))
            case _:
                self.house.rows.catch_up()

    # what must hold

    def check(self) -> None:
        house = self.house
        assert house.faults() == []
        planners = [actor for actor in self.theatre.actors if "desks.inbox" in actor.calls and actor.at != "bell.ring"]
        assert len(planners) <= 1, "two passes plan at once"
        for job in house.committed():
            self.check_job(job)
        if ADA.user not in house.rows.desks:
            return
        named = {live.batch for live in house.desk().plan.batches}
        orphans = [task.id for task in house.globus.live() if task.batch.id not in named]
        assert not orphans, "a live task belongs to no batch of the desk"
        frozen = [house.rows.batches.get((ADA.user, batch)) for batch in named]
        aboard = [(batch.route.stage, member) for batch in frozen if batch is not None for member in batch.members]
        assert len(aboard) == len(set(aboard)), "an item is in two live batches"
        assert len(named) <= 3

    def check_job(self, job: Job) -> None:
        before = self.seen.get(job.ref.number)
        if before is not None:
            assert job.version >= before.version
            assert not before.state.final or job.state is before.state, f"{before.state} became {job.state}"
            assert not before.cancel_requested or job.cancel_requested
        self.seen[job.ref.number] = job
        if plannable(job) or due(job) is not None or job.in_flight or abandoned_by(job):
            self.check_has_a_future(job)

    def check_has_a_future(self, job: Job) -> None:
        """Somebody will look at the job, and whoever looks will find it."""
        desk = self.house.desk()
        named = {live.batch for live in desk.plan.batches}
        to_be_read = any(job.ref.number in numbers for numbers in self.house.inbox())
        assert to_be_read or (job.in_flight and job.moving_in() <= named), f"{job.ref.number} would not be found"
        assert desk.wake_at is not None or self.waits_for_login(job), f"{job.ref.number} has no future look"

    def waits_for_login(self, job: Job) -> bool:
        need = self.house.desk().plan.need
        if need is None:
            return False
        return need.collections is None or (
            stage_of(job) is Stage.STAGE_IN and LAB in need.collections and not job.in_flight
        )

    # how it ends

    def finish(self) -> None:
        """Every process dies, every ring is lost; the user signs in once more and the site goes on working."""
        self.theatre.end_all()
        house = self.house
        house.globus.without_consent, house.access.refused = set(), False
        for which in range(len(self.sent)):
            house.clock.turn(minutes=1)
            self.send(which)
        house.sign_in()
        for _ in range(90):
            house.clock.turn(minutes=1)
            house.by_sweep_alone()
            self.check()
            house.agent.work()
            self.check()
            if all(job.state.final and not job.cleanup for job in house.committed()):
                break
        for _ in range(8):  # a planner that died had a claim, and may have been the last
            house.clock.turn(minutes=1)
            house.by_sweep_alone()
        left = [(job.ref.number, job.state, job.cancel_requested) for job in house.committed() if not job.state.final]
        assert not left, f"{left} never ended; {house.desk()}, {house.inbox()}"
        assert house.desk().wake_at is None
        assert house.desk().plan.batches == ()
        assert house.inbox() == []
        self.check_results()

    def check_results(self) -> None:
        """A completed job's outputs are there once; a job that is nobody's left nothing."""
        names = self.house.globus.files[ARCHIVE]
        numbers = {int(name.split("/")[2]) for name in names}
        assert numbers <= {job.ref.number for job in self.house.committed()}
        shown, _ = self.house.manage.page(ADA, Wanted(), 100, None)
        assert [seen.job for seen in shown] == sorted(self.house.committed(), key=lambda job: -job.ref.number)


@settings(max_examples=120)
@given(choices=Choices, lag=st.sampled_from([0, 3]))
def test_no_interleaving_loses_doubles_or_revives_a_job(choices: list[int], lag: int) -> None:
    walk = Walk(lag)
    try:
        for choice in choices:
            walk.take(choice)
            walk.check()
        walk.finish()
    finally:
        walk.theatre.end_all()
