"""What a job costs: units of DynamoDB, calls to Globus, and dollars.

Each figure is that of whole lives: POST, inputs, lease, queue, run, outputs, cleanup, with the sweep and the agent's
calls in between. Units are counted by ``emulators.aws.meter`` on Amazon's own DynamoDB Local.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from bench.far_side import FarSide
from bench.house import START, House, TurnedTime, a_document, dynamodb_stores
from bench.whole_life import Agent, check_all_completed, live
from chalicelib.core.ids import FIRST_NUMBER, JobNumber
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.meter import MeteredClient, Tally

TOGETHER = START + timedelta(minutes=30)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What so many jobs cost in all."""

    jobs: int
    units: Tally
    globus: Counter[str]
    rings: int
    syncs: int


def whole_lives(server: DynamoDBLocal, count: int, *, spread: timedelta = timedelta(0)) -> Spent:
    """Take ``count`` jobs of one POST through their lives; their processes end together, or evenly over ``spread``."""
    clock = TurnedTime()
    client = server.client()
    meter = MeteredClient(client)
    house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))

    def ends_at(number: JobNumber) -> object:
        return TOGETHER + spread * ((number - FIRST_NUMBER) / count)

    agent = Agent(house=house, ends_at=ends_at)  # type: ignore[arg-type]
    begun = meter.snapshot()
    numbers = house.post([a_document() for _ in range(count)])
    live(house, agent, numbers)
    units = meter.snapshot() - begun
    check_all_completed(house, numbers)
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    return Spent(jobs=count, units=units, globus=house.globus.calls, rings=house.bell.count, syncs=agent.syncs)
