"""What a job costs: units of DynamoDB, calls to Globus, and dollars.

Each figure is that of whole lives: POST, inputs, lease, queue, run, outputs, cleanup, with the sweep and the agent's
calls in between. Units are counted by ``emulators.aws.meter`` on Amazon's own DynamoDB Local.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bench.far_side import FarSide
from bench.house import START, House, Stores, TurnedTime, a_document, drop_tables, dynamodb_stores, memory_stores
from bench.whole_life import Agent, check_all_completed, live
from chalicelib.core.ids import FIRST_NUMBER, JobNumber
from chalicelib.core.shards import WAKE_SHARDS
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.meter import MeteredClient, Tally

TOGETHER = START + timedelta(minutes=30)
HOUR = timedelta(hours=1)


LONE = START + timedelta(minutes=5)

PER_MILLION = {
    "write units": 0.625,
    "read units": 0.125,
    "queue requests": 0.40,
    "invocations": 0.20,
    "API calls": 3.50,
}
"""AWS's public on-demand prices in us-east-1, in dollars."""
GB_SECOND = 0.0000166667
CALL_SECONDS, GLOBUS_SECONDS = 0.006, 0.3
"""What a call to DynamoDB and one to Globus keep a function waiting, as the bill assumes."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What so many jobs cost in all; ``cpu_seconds`` with the meter's own, so more than in truth."""

    jobs: int
    units: Tally
    globus: Counter[str]
    rings: int
    syncs: int
    cpu_seconds: float

    def dollars(self) -> dict[str, float]:
        """The bill by what is billed. Lambda at 1 GB, and nothing that runs is taken to run beside another."""
        calls = sum(self.units.calls.values())
        waited = calls * CALL_SECONDS + sum(self.globus.values()) * GLOBUS_SECONDS
        counts = {
            "write units": self.units.writes,
            "read units": self.units.reads,
            "queue requests": 3.0 * self.rings,
            "invocations": 1.0 + self.syncs + self.rings,
            "API calls": 1.0 + self.syncs,
        }
        bill = {name: count * PER_MILLION[name] / 1e6 for name, count in counts.items()}
        return {**bill, "function time": (waited + self.cpu_seconds) * GB_SECOND}


def on_dynamodb(server: DynamoDBLocal, count: int, ends: Callable[[JobNumber], datetime]) -> Spent:
    """Take ``count`` jobs of one POST through their lives, and count the units."""
    client = server.client()
    meter = MeteredClient(client)
    try:
        return _spent(dynamodb_stores(meter, client), count, ends, meter)
    finally:
        drop_tables(client)


def _spent(
    stores: Stores, count: int, ends: Callable[[JobNumber], datetime], meter: MeteredClient | None = None
) -> Spent:
    clock = TurnedTime()
    house = House(clock=clock, stores=stores, globus=FarSide(clock=clock))
    agent = Agent(house=house, ends_at=ends)
    begun, cpu = meter.snapshot() if meter else Tally(), time.process_time()
    numbers = house.post([a_document() for _ in range(count)])
    live(house, agent, numbers)
    cpu = time.process_time() - cpu
    units = meter.snapshot() - begun if meter else Tally()
    check_all_completed(house, numbers)
    calls, rings = house.globus.calls, house.bell.count
    return Spent(jobs=count, units=units, globus=calls, rings=rings, syncs=agent.syncs, cpu_seconds=cpu)


def idle_minute(server: DynamoDBLocal, jobs: int = 10_000, users: int = 10) -> tuple[float, int]:
    """Queries a shard, and passes, of a minute in which so many jobs wait at their site and nothing is due."""
    client, clock = server.client(), TurnedTime()
    meter = MeteredClient(client)
    house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
    for user in range(users):
        house.post([a_document(stage_in=[], hold=True) for _ in range(jobs // users)], user=user)
    while (at := house.bell.next_at()) is not None:
        clock.at = max(clock.at, at)
        for rung in house.bell.due():
            house.wake(rung)
    clock.at += timedelta(minutes=1)
    before, rings = meter.snapshot(), house.bell.count
    house.sweep.run()
    spent = meter.snapshot() - before
    assert set(spent.calls) <= {"query"}, spent.calls
    drop_tables(client)
    return spent.calls["query"] / WAKE_SHARDS, house.bell.count - rings


def measure(count: int = 1000) -> dict[str, float]:
    """Every figure of the budgets; prints the bill."""
    evenly = _spent(memory_stores(TurnedTime()), count, lambda number: TOGETHER + HOUR * _share(number, count))
    with DynamoDBLocal() as server:
        bulk = on_dynamodb(server, count, lambda number: TOGETHER)
        lone = on_dynamodb(server, 1, lambda number: LONE)
        queries, passes = idle_minute(server)
    bill = bulk.dollars()
    print(f"{count:,} jobs cost ${sum(bill.values()):.4f}: " + ", ".join(f"{n} ${d:.4f}" for n, d in bill.items()))
    for kind, units in sorted(bulk.units.by_kind.items()):
        print(f"  {kind:<32} {units / count:>7.3f} write units a job")
    print(f"  an idle minute: {queries:g} queries a shard, {passes} passes")
    return {
        "ddb_write_units_per_job": round(bulk.units.writes / count, 2),
        "ddb_read_units_per_job": round(bulk.units.reads / count, 2),
        "ddb_write_units_lone_job": lone.units.writes,
        "ddb_read_units_lone_job": lone.units.reads,
        "globus_calls_per_job_burst": round(sum(bulk.globus.values()) / count, 3),
        "globus_calls_per_job_even": round(sum(evenly.globus.values()) / count, 3),
        "idle_minute_queries_per_shard": queries,
        "usd_per_1000_jobs": round(sum(bill.values()) * 1000 / count, 4),
    }


def _share(number: JobNumber, count: int) -> float:
    return (number - FIRST_NUMBER) / count
