"""A job's life under random events: what must hold after every step, whatever comes in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from core_examples import MINUTE, NOON, a_document, a_job, an_input, an_output
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.altering import altered
from chalicelib.core.deadlines import timed_stage
from chalicelib.core.document import Document
from chalicelib.core.due import due
from chalicelib.core.events import (
    Active,
    Altered,
    AlteredThere,
    AlterOrdered,
    Awaited,
    Canceled,
    CancelRefused,
    CancelRequested,
    Cleaned,
    CleanupRefused,
    Completed,
    DelayOver,
    DependencyBroken,
    DependencyMet,
    Event,
    Exited,
    Failed,
    Gone,
    Held,
    HeldAhead,
    HoldPlaced,
    HoldReleased,
    Leased,
    LegsClaimed,
    LegsReleased,
    LegsSettled,
    NotReleased,
    Offered,
    OrderRefused,
    Overdue,
    Queued,
    Rejected,
    Released,
    Report,
    StagedIn,
    StagingDue,
    TriedAgain,
    Unheld,
    Withdrawn,
)
from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, JobNumber, TaskId
from chalicelib.core.job import FINAL, Ahead, Job, Leg, LegStatus, Outcome, Stage, State
from chalicelib.core.lifecycle import LONGEST_TRAIL, PAST, TABLE, IllegalTransition, allows, faults_of, transition
from chalicelib.core.orders import Verb
from chalicelib.core.outputs import Found, legs_at_exit
from chalicelib.core.progress import abandoned_by, plannable, rests, stage_of, waits_for_start, waits_to_try
from chalicelib.core.retrying import try_by_hand
from chalicelib.core.site_queue import Kind, site_due

ENDS = st.sampled_from([*[LegStatus.DONE] * 6, LegStatus.ABSENT, LegStatus.FAILED, LegStatus.PENDING])
OUTCOMES = st.sampled_from(
    [
        (Outcome.OK, 0),
        (Outcome.OK, 0),
        (Outcome.OK, None),
        (Outcome.ERROR, 3),
        (Outcome.WALLTIME, None),
        (Outcome.LOST, None),
        (Outcome.CANCELED, 143),
    ]
)
FOUND = st.lists(
    st.builds(Found, item=st.integers(0, 2), kind=st.sampled_from(["file", "directory", "directory", "missing"])),
    max_size=3,
)
RARELY = st.sampled_from([False] * 9 + [True])
ANYTHING: st.SearchStrategy[Event] = st.one_of(
    st.just(StagedIn()),
    st.just(Completed()),
    st.just(Canceled()),
    st.just(Offered()),
    st.just(StagingDue()),
    st.builds(Failed, stage=st.sampled_from(Stage), error=st.just("x")),
    st.builds(LegsClaimed, batch=st.just(BatchId("bx")), items=st.sets(st.integers(0, 5), max_size=2).map(frozenset)),
    st.builds(Leased, epoch=st.integers(0, 5), until=st.just(NOON + timedelta(days=1))),
)
DOCUMENTS = [
    a_document(),
    a_document(stage_in=[an_input(), an_input("/eagle/x", mode="link")], cleanup=True),
    a_document(
        stage_in=[an_input(target=f"{n}/") for n in range(3)],
        stage_out=[an_output("a/"), an_output("b/", when=["on_cancel", "on_error"]), an_output("c/", optional=True)],
        hold=True,
    ),
    a_document(stage_in=[an_input()], depends_on=[1000, {"job": 999, "when": "afterany"}]),
    a_document(stage_in=[an_input()], stage_out=[an_output()], retry={"attempts": 3, "delay": 5}),
    a_document(stage_in=[an_input()], stage_out=[an_output()], staging="just_in_time"),
    a_document(stage_in=[an_input()], staging="just_in_time", depends_on=[1000], retry={"attempts": 2, "delay": 5}),
    a_document(stage_in=[an_input()], attributes={"custom_attributes": {"cobalt.adopt": "held"}}, hold=True),
]


class Life:
    """One job, and all that could ever be said to it."""

    def __init__(self, document: Document, data: st.DataObject) -> None:
        self.document, self.data = document, data
        self.job = a_job(document)
        self.now = NOON
        self.batches = 0
        self.heard: list[Report | LegsSettled | LegsReleased] = []

    def tell(self, event: Event) -> bool:
        """Apply an event, check what must hold of any application, and tell whether it was legal."""
        before, self.now = self.job, self.now + MINUTE
        story = replace(before)
        try:
            after = transition(before, event, self.now)
        except IllegalTransition as refused:
            words = str(refused)
            assert before == story, "what raises changes nothing"
            assert TABLE[before.state].get(type(event)) is not PAST
            assert str(before.ref) in words
            assert all(f"{mark.version}:{mark.code}->{mark.state}" in words for mark in before.trail)
            return False
        if after is before:
            return True
        assert after != before
        self.check_change(before, event, after)
        assert transition(after, event, self.now + MINUTE) is after, "a repeat changes nothing"
        self.job = after
        if isinstance(event, Report | LegsSettled | LegsReleased) and not isinstance(
            event, HeldAhead
        ):  # of a changing start
            self.heard.append(event)
        return True

    def check_change(self, before: Job, event: Event, after: Job) -> None:
        if before.state.final and not isinstance(event, TriedAgain):
            kept = replace(after, version=before.version, updated_at=before.updated_at, trail=before.trail)
            removed = (
                {}
                if after.state is not State.FAILED
                else {
                    name: getattr(after, name) for name in ("ahead", "epoch", "native_id", "starts_at", "leased_until")
                }
            )
            assert replace(before, cleanup=False, posted=None, **removed) == kept, (
                "final is final, but for what is left"
            )
        assert after.version == before.version + 1
        assert after.trail[-1] == replace(after.trail[-1], version=after.version, at=self.now, code=event.code)
        assert after.trail[-1].state is after.state
        assert after.trail[:-1] == before.trail or len(after.trail) == LONGEST_TRAIL
        assert after.updated_at == self.now
        assert after.posted is None
        assert TABLE[before.state][type(event)] is after.state
        assert allows(before.state, type(event))
        assert (after.ref, after.owner) == (before.ref, before.owner)
        altered_there = isinstance(event, AlteredThere | OrderRefused) and event.change is not None
        assert after.revision == before.revision + (isinstance(event, Altered) or altered_there)
        assert after.epoch >= before.epoch

    def grow(self, age: int) -> None:
        """Go this far through a plain life, so that random steps need not find the way there."""
        everything = frozenset(leg.item for leg in self.job.legs)
        done = {item: Leg(item=item, status=LegStatus.DONE) for item in everything}
        claimed = LegsClaimed(batch=BatchId("b0"), items=everything)
        settled = LegsSettled(batch=BatchId("b0"), legs=done, task=TaskId("t"))
        moved: tuple[Event, ...] = (claimed, settled) if everything else ()
        leased = Leased(epoch=1, until=self.now + 10 * MINUTE)
        run = (leased, Queued(epoch=1, native_id="7"), Active(epoch=1, native_id="7"))
        met = [DependencyMet(parent=parent.number) for parent in self.job.parents]
        ahead: tuple[Event, ...] = ()
        if self.job.ahead is not None:
            ahead = (leased, HeldAhead(epoch=1, native_id="7"), *([StagingDue()] if self.job.awaits_start else []))
        for event in (*met, *ahead, *moved, StagedIn(), HoldReleased(), *run)[:age]:
            assert self.tell(event)
        if age > 7 and self.job.epoch:
            self.see_it_ended()

    # The planner.

    def claim(self) -> None:
        if plannable(self.job):
            items = self.data.draw(st.sets(st.sampled_from([leg.item for leg in self.job.pending]), min_size=1))
            self.batches += 1
            assert self.tell(LegsClaimed(batch=BatchId(f"b{self.batches}"), items=frozenset(items)))

    def settle(self) -> None:
        for batch in sorted(self.job.moving_in()):
            legs = {leg.item: self.ended(leg) for leg in self.job.in_flight if leg.batch == batch}
            assert self.tell(LegsSettled(batch=batch, legs=legs, task=TaskId("t")))

    def ended(self, leg: Leg) -> Leg:
        status = self.data.draw(ENDS)
        return Leg(item=leg.item, status=status, error="file_not_found" if status is LegStatus.FAILED else None)

    def release(self) -> None:
        for batch in sorted(self.job.moving_in())[:1]:
            assert self.tell(LegsReleased(batch=batch))

    def settle_and_release_what_is_long_gone(self) -> None:
        batch = BatchId(f"b{self.data.draw(st.integers(0, self.batches + 1))}")
        if batch not in self.job.moving_in():
            before = self.job
            assert self.tell(LegsSettled(batch=batch, legs={0: Leg(item=0, status=LegStatus.FAILED)}, task=TaskId("t")))
            assert self.tell(LegsReleased(batch=batch))
            assert self.job is before, "a stale attempt changes nothing"

    def do_what_is_due(self) -> None:
        for _ in range(3):
            event = due(self.job)
            if event is None:
                return
            before = self.job
            assert self.tell(event)
            assert self.job is not before, "what is due makes a difference"
        raise AssertionError("what is due has no end")

    def begin_the_next_try(self) -> None:
        if waits_to_try(self.job):
            assert self.tell(DelayOver())
            assert self.job.not_before is None

    def try_again_by_hand(self) -> None:
        """A failed job alone is tried again; of a try that is gone nothing is heard any more."""
        again = try_by_hand(self.job, cleanup=self.data.draw(st.booleans()))
        legal = self.job.state is State.FAILED and not self.job.may_be_held and self.data.draw(RARELY)
        if legal:
            assert self.tell(again)
            assert self.job.attempt == again.attempt + 1
        before = self.job
        for attempt in {again.attempt - 1, again.attempt + 1} - {self.job.attempt}:
            assert self.tell(replace(again, attempt=attempt))
        assert self.job is before, "a stale try changes nothing"

    def alter(self) -> None:
        event = altered(self.job, self.document, a_document(tags={"revision": str(self.job.revision + 1)}))
        before = self.job
        assert self.tell(replace(event, revision=self.job.revision)), "a stale revision changes nothing"
        assert self.job is before
        legal = self.tell(replace(event, legs=None, fields=("tags",), cleanup=None))
        assert legal is not self.job.state.final

    def run_out_of_time(self) -> None:
        stage = timed_stage(self.job)
        before = self.job
        assert self.tell(Overdue(stage=Stage.STAGE_IN, attempt=self.job.attempt + 1)), "a stale try changes nothing"
        assert self.job is before
        if stage is not None and self.data.draw(RARELY):
            assert self.tell(Overdue(stage=stage, attempt=self.job.attempt))
            assert self.job.overdue
            if stage is Stage.QUEUE and self.job.epoch and not self.job.state.final:
                due_there = site_due(self.job)
                assert due_there is not None
                assert due_there[0] is Kind.COMMAND, "only its site can say that nothing of it is left"

    # The jobs that it waits for, and those that wait for it.

    def hear_of_a_parent(self) -> None:
        if self.job.parents and self.job.state not in FINAL:
            parent = self.data.draw(st.sampled_from(self.job.parents))
            kind = DependencyBroken if self.data.draw(RARELY) else DependencyMet
            assert self.tell(kind(parent=parent.number))
        before = self.job
        assert self.tell(DependencyMet(parent=JobNumber(7)))
        assert self.tell(DependencyBroken(parent=JobNumber(7)))
        assert self.job is before, "what is no parent of it means nothing to it"

    def be_awaited(self) -> None:
        assert self.tell(Awaited())
        assert self.job.awaited or self.job.state in FINAL

    # The site.

    def lease(self) -> None:
        wanted = site_due(self.job)
        if wanted is not None and wanted[0] is Kind.LEASE:
            assert self.tell(Leased(epoch=self.job.epoch + 1, until=self.now + 10 * MINUTE))

    def see_it_held(self) -> None:
        if self.job.epoch and self.job.state in (State.NEW, State.STAGE_IN, State.STAGED, State.FAILED):
            moment = self.data.draw(st.sampled_from([None, NOON + timedelta(days=2)]))
            assert self.tell(HeldAhead(epoch=self.job.epoch, native_id="7", starts_at=moment))

    def see_it_not_released(self) -> None:
        """Its data is there, and its scheduler keeps it all the same."""
        if self.job.epoch and self.job.state not in (State.NEW, State.STAGE_IN) and self.data.draw(RARELY):
            assert self.tell(NotReleased(epoch=self.job.epoch))
            assert self.job.error != NotReleased.code or self.job.state is State.STAGED

    def lose_what_was_held(self) -> None:
        if self.job.epoch and self.job.state in (State.NEW, State.STAGE_IN) and self.data.draw(RARELY):
            left = self.data.draw(st.booleans()) and self.job.ahead in (Ahead.HELD, Ahead.FILED)
            assert self.tell(Gone(epoch=self.job.epoch, error="gone", left=left))

    def remove_what_was_held(self) -> None:
        """As a site does that was told to cancel."""
        wanted = site_due(self.job)
        before_run = self.job.state in (State.NEW, State.STAGE_IN, State.FAILED)
        if before_run and wanted is not None and wanted[0] is Kind.COMMAND and not self.job.orders:
            assert self.tell(Unheld(epoch=self.job.epoch))
            assert self.job.ahead is None

    def let_its_inputs_set_out(self) -> None:
        if waits_for_start(self.job):
            assert self.tell(StagingDue())
            assert not self.job.awaits_start

    def see_it_at_the_scheduler(self) -> None:
        if self.job.epoch and self.job.state not in (State.NEW, State.STAGE_IN):
            kind = self.data.draw(st.sampled_from([Active, Queued]))
            assert self.tell(kind(epoch=self.job.epoch, native_id="7"))

    def see_it_ended(self) -> None:
        if self.job.epoch and self.job.state not in (State.NEW, State.STAGE_IN):
            outcome, code = self.data.draw(OUTCOMES)
            legs = legs_at_exit(self.document, outcome, code, self.data.draw(FOUND))
            native = self.data.draw(st.sampled_from([None, "7"]))
            report = Exited(epoch=self.job.epoch, native_id=native, exit_code=code, outcome=outcome, legs=legs)
            assert self.tell(report)

    def answer_an_order(self) -> None:
        """The scheduler does, or would not do, what was asked last or before; of no answer is anything heard twice."""
        if not self.job.orders:
            return
        order = self.data.draw(st.sampled_from(self.job.orders))
        epoch, number = self.job.epoch, order.number
        change = replace(
            altered(self.job, self.document, a_document(attributes={"duration": 60 + self.job.revision})), legs=None
        )
        answers = {Verb.HOLD: Held(epoch=epoch, order=number), Verb.RELEASE: Released(epoch=epoch, order=number)}
        done = answers.get(order.verb) or AlteredThere(epoch=epoch, order=number, change=change)
        would_not = OrderRefused(epoch=epoch, order=number, verb=order.verb)
        assert self.tell(would_not if self.data.draw(RARELY) else done)
        assert all(each.number != number for each in self.job.orders)

    def order_an_alteration(self) -> None:
        legal = self.tell(AlterOrdered(terms={"duration": 60 + self.job.version}))
        assert legal is (self.job.waits_there and not self.job.cancel_requested and not self.job.overdue)

    def refuse_it(self) -> None:
        if self.job.state in (State.STAGED, State.QUEUED) and self.job.epoch and self.data.draw(RARELY):
            assert self.tell(Rejected(epoch=self.job.epoch, error="rejected"))

    def refuse_to_end_it(self) -> None:
        """The user wants it ended: what was not submitted will not be, what was is not the site's to end."""
        if self.job.cancel_requested and self.job.state in (State.STAGED, State.QUEUED, State.ACTIVE):
            known = self.job.native_id is not None
            assert self.tell((CancelRefused if known else Withdrawn)(epoch=self.job.epoch))

    def clean_up(self) -> None:
        if self.job.state in (State.COMPLETED, State.CANCELED):
            kind = self.data.draw(st.sampled_from([Cleaned, CleanupRefused]))
            assert self.tell(kind(epoch=self.job.epoch))
            assert not self.job.cleanup

    def hear_of_another_lease(self) -> None:
        epoch = self.data.draw(st.integers(1, self.job.epoch + 2).filter(lambda each: each != self.job.epoch))
        exited = Exited(epoch=epoch, native_id="9", exit_code=1, outcome=Outcome.ERROR, legs=(Leg(item=9),))
        queued, active = Queued(epoch=epoch, native_id="9"), Active(epoch=epoch, native_id="9")
        before = self.job
        for report in (queued, active, exited, Rejected(epoch=epoch, error="refused"), Cleaned(epoch=epoch)):
            assert self.tell(report)
        assert self.job is before, "a stale attempt changes nothing"

    def hear_again_what_was_heard_before(self) -> None:
        before = self.job
        for event in tuple(self.heard):
            assert self.tell(event)
        assert self.job is before

    # The user.

    def cancel(self) -> None:
        if self.data.draw(RARELY):
            assert self.tell(CancelRequested())
            assert self.job.cancel_requested or self.job.state in FINAL

    def hold_or_release(self) -> None:
        kinds = [HoldPlaced(), HoldPlaced(hold=Hold.STAGING), HoldReleased(), HoldReleased()]
        legal = self.tell(self.data.draw(st.sampled_from(kinds)))
        assert legal or self.job.state in (State.QUEUED, State.ACTIVE, State.STAGE_OUT), "then it is too late"
        assert ("hold" in self.job.waiting_for) <= (self.job.hold is not None)

    # Anybody, with anything.

    def say_what_is_out_of_place(self) -> None:
        event = self.data.draw(ANYTHING)
        if isinstance(event, LegsClaimed):
            # No id is ever given to two batches.
            self.batches += 1
            event = replace(event, batch=BatchId(f"b{self.batches}"))
        kept = isinstance(event, Leased) and (self.job.state is State.STAGED or self.job.ahead is not None)
        ends = isinstance(event, Failed | Canceled) and not self.data.draw(RARELY)
        if event != due(self.job) and not kept and not ends:
            before = self.job
            legal = self.tell(event)
            if legal and self.job is not before:
                assert not isinstance(event, Completed | Leased), f"{event} moved {before}"
                assert not before.in_flight or isinstance(event, LegsClaimed)

    def check(self) -> None:
        """What must hold at any time."""
        job = self.job
        assert faults_of(job) == []
        assert job.state.final == (job.state in FINAL)
        assert not (job.state.final and (due(job) or plannable(job)))
        assert not (job.in_flight and due(job)), "what is due waits for what is in flight"
        assert not (due(job) and plannable(job)) or due(job) == Offered()
        assert not abandoned_by(job) or job.cancel_requested or job.broken or job.overdue or job.ahead_in_vain
        if job.state is State.FAILED and job.may_be_held:
            assert site_due(job) == (Kind.COMMAND, job.updated_at), "what is held is removed after the end"
        self.check_it_is_not_stuck()

    def check_it_is_not_stuck(self) -> None:
        job = self.job
        moves_data = stage_of(job) is not None
        assert moves_data == (job.state in (State.NEW, State.STAGE_IN, State.STAGE_OUT))
        if moves_data:
            at_site = site_due(job) is not None
            assert due(job) is not None or plannable(job) or job.in_flight or rests(job) or at_site
            if job.awaits_start and not job.in_flight and due(job) is None and not job.parents and job.hold is None:
                assert waits_for_start(job) or at_site, "who waits for a start is told of one"
        if job.state is State.STAGED:
            assert due(job) is not None or site_due(job) is not None or job.hold is not None or job.parents
        if job.cancel_requested and not job.state.final:
            told = site_due(job)
            outputs = job.state is State.STAGE_OUT and job.outcome is Outcome.CANCELED and plannable(job)
            asked = told is not None and told[0] is Kind.COMMAND
            assert due(job) is not None or job.in_flight or outputs or asked, "a cancel comes to its end"


STEPS = (
    *(Life.claim, Life.claim, Life.settle, Life.settle, Life.release, Life.settle_and_release_what_is_long_gone),
    *(
        Life.do_what_is_due,
        Life.do_what_is_due,
        Life.lease,
        Life.lease,
        Life.see_it_at_the_scheduler,
        Life.see_it_ended,
    ),
    *(Life.see_it_held, Life.see_it_held, Life.see_it_not_released, Life.lose_what_was_held, Life.remove_what_was_held),
    *(Life.let_its_inputs_set_out, Life.let_its_inputs_set_out),
    *(
        Life.refuse_it,
        Life.answer_an_order,
        Life.order_an_alteration,
        Life.refuse_to_end_it,
        Life.clean_up,
        Life.hear_of_another_lease,
        Life.hear_again_what_was_heard_before,
    ),
    *(Life.begin_the_next_try, Life.begin_the_next_try, Life.try_again_by_hand),
    *(Life.alter, Life.be_awaited, Life.run_out_of_time),
    *(Life.hear_of_a_parent, Life.hear_of_a_parent, Life.be_awaited),
    *(Life.cancel, Life.hold_or_release, Life.hold_or_release, Life.say_what_is_out_of_place),
)


@settings(max_examples=300)
@given(
    st.sampled_from(DOCUMENTS), st.integers(0, 8), st.lists(st.sampled_from(STEPS), min_size=20, max_size=60), st.data()
)
def test_whatever_happens_in_whatever_order_a_job_stays_sound(
    document: Document, age: int, steps: list[Callable[[Life], None]], data: st.DataObject
) -> None:
    life = Life(document, data)
    life.check()
    life.grow(age)
    life.check()
    for step in steps:
        step(life)
        life.check()
