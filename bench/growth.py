"""How the cost of a pass and of a sweep grows with what there is, as exponents of a power law, and as a plot.

Cost is units and calls of DynamoDB, by the meter on Amazon's own DynamoDB Local: they do not depend on the machine.
The first pass after N jobs came in does N jobs' worth of work, so it may grow as they do; a look at N jobs that are
under way, a pass beside N jobs that wait at their site, a sweep over users that have nothing due, and whatever is done
for a user who has N ended jobs, must not.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

from bench.curves import Curve, cost_of, draw
from bench.far_side import FarSide
from bench.history import repeat_history
from bench.house import START, House, TurnedTime, a_document, a_user, drop_tables, dynamodb_stores
from bench.whole_life import Agent, check_all_completed, live
from chalicelib.core.desk import InboxItem
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.meter import MeteredClient

PLOT = Path(__file__).parents[1] / "docs" / "growth.svg"
JOBS, USERS = (100, 1000, 10_000), (10, 100, 1000)
A_POST = 1000
LIVED = 100
"""Jobs of a history that live their whole lives; what they leave is then repeated under further numbers."""


def measure() -> dict[str, float]:
    """Measure every curve, and draw them."""
    with DynamoDBLocal() as server:
        due, under_way, beside = _passes(server)
        sweeps, idle = _sweeps(server)
        past = _history(server)
    curves = (due, under_way, beside, sweeps, idle, *past)
    for curve in curves:
        print(f"{curve.title:<46} {curve.exponent:>5.2f}   " + ", ".join(f"{n:,}: {c:,.0f}" for n, c in curve.points))
    PLOT.write_text(draw(curves))
    return {
        "reconcile_growth": round(due.exponent, 2),
        "reconcile_idle_growth": round(max(under_way.exponent, beside.exponent), 2),
        "sweep_growth": round(sweeps.exponent, 2),
        "sweep_idle_growth": round(idle.exponent, 2),
        "history_growth": round(max(curve.exponent for curve in past), 2),
    }


def _passes(server: DynamoDBLocal) -> tuple[Curve, Curve, Curve]:
    due, look, beside = [], [], []
    for count in JOBS:
        client, clock = server.client(), TurnedTime()
        meter = MeteredClient(client)
        house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
        for start in range(0, count, A_POST):
            house.post([a_document() for _ in range(min(A_POST, count - start))])
        due.append((count, cost_of(meter, partial(_answer, house))))
        clock.at = max(clock.at, house.bell.next_at() or clock.at)
        look.append((count, cost_of(meter, partial(_answer, house, rounds=1))))
        _finish(house)
        house.post([a_document()])
        beside.append((count, cost_of(meter, partial(_answer, house, rounds=1))))
        drop_tables(client)
    return (
        Curve(title="a user's passes, N jobs due", points=tuple(due)),
        Curve(title="a look at N jobs under way", points=tuple(look)),
        Curve(title="a pass for one job, N others at their site", points=tuple(beside)),
    )


def _answer(house: House, rounds: int = 100) -> None:
    """Make the passes that are due now."""
    for _ in range(rounds):
        users = house.bell.due()
        if not users:
            return
        for user in dict.fromkeys(users):
            house.wake(user)


def _finish(house: House) -> None:
    """Let every task end, until nothing rings any more."""
    clock = house.clock
    assert isinstance(clock, TurnedTime)
    while (at := house.bell.next_at()) is not None:
        clock.at = max(clock.at, at)
        _answer(house)


def _sweeps(server: DynamoDBLocal) -> tuple[Curve, Curve]:
    due, idle = [], []
    for count in USERS:
        client, clock = server.client(), TurnedTime()
        meter = MeteredClient(client)
        house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
        for number in range(count):
            house.desks.record(a_user(number), InboxItem(id=f"{number:08}"), clock.at)
        due.append((count, cost_of(meter, house.sweep.run) + 1.0 * house.bell.count))
        _answer(house)
        idle.append((count, cost_of(meter, house.sweep.run)))
        drop_tables(client)
    return (
        Curve(title="a sweep, N users due", points=tuple(due)),
        Curve(title="a sweep, N users with nothing due", points=tuple(idle)),
    )


def _history(server: DynamoDBLocal) -> tuple[Curve, ...]:
    """What one more job costs a user of whom N jobs have lived and ended."""
    posts, passes, syncs = [], [], []
    for count in JOBS:
        client, clock = server.client(), TurnedTime()
        meter = MeteredClient(client)
        house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
        agent = Agent(house=house, ends_at=lambda number: START)
        numbers = house.post([a_document() for _ in range(LIVED)])
        live(house, agent, numbers)
        check_all_completed(house, numbers)
        _finish(house)
        repeat_history(client, len(numbers), count)
        clock.at += timedelta(days=1)
        posts.append((count, cost_of(meter, partial(house.post, [a_document()]))))
        passes.append((count, cost_of(meter, partial(_answer, house))))
        _finish(house)
        syncs.append((count, cost_of(meter, agent.sync)))
        assert agent.held, "the site was given the job"
        drop_tables(client)
    return (
        Curve(title="a POST of a job, N ended ones before it", points=tuple(posts)),
        Curve(title="its passes until it moves, N ended ones before it", points=tuple(passes)),
        Curve(title="the sync that leases it, N ended ones before it", points=tuple(syncs)),
    )
