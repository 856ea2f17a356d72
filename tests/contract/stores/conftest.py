"""The stores under test: in memory, on moto put right, and on Amazon's own DynamoDB Local."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from lagging_client import LaggingClient
from store_samples import NOON, TEMPLATE

from chalicelib.adapters.dynamodb.desks import BatchTable, DeskTable
from chalicelib.adapters.dynamodb.holdings import HoldingTable
from chalicelib.adapters.dynamodb.jobs import DependantTable, JobTable, SiteQueueIndex
from chalicelib.adapters.dynamodb.places import CollectionTable, SiteTable
from chalicelib.adapters.dynamodb.postings import PostingTable
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.adapters.memory.desks import MemoryBatches, MemoryDesks
from chalicelib.adapters.memory.holdings import MemoryHoldings
from chalicelib.adapters.memory.jobs import MemoryDependants, MemoryJobs, MemoryPostings, MemorySiteQueue
from chalicelib.adapters.memory.places import MemoryCollections, MemorySites
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.core.ports.desks import Batches, Desks
from chalicelib.core.ports.holdings import Holdings
from chalicelib.core.ports.jobs import Dependants, Jobs, Postings, SiteQueue
from chalicelib.core.ports.places import Collections, Sites
from emulators.aws.locked import locked_moto
from emulators.aws.resources import create_tables

RETENTION = timedelta(days=180)
LAG = 3


class TurnedByHand:
    """A clock that stands until a test turns it."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def turn(self, by: timedelta) -> None:
        self.time += by


@dataclass(frozen=True, kw_only=True)
class Stores:
    """All stores of one deployment. ``catch_up`` brings lagging indexes up to date."""

    clock: TurnedByHand
    jobs: Jobs
    postings: Postings
    holdings: Holdings
    dependants: Dependants
    site_queue: SiteQueue
    desks: Desks
    batches: Batches
    sites: Sites
    collections: Collections
    catch_up: Callable[[], None]


def in_memory(lag: int = 0) -> Stores:
    rows, clock = MemoryRows(lag), TurnedByHand()
    return Stores(
        clock=clock,
        jobs=MemoryJobs(rows, clock, RETENTION),
        dependants=MemoryDependants(rows),
        postings=MemoryPostings(rows),
        holdings=MemoryHoldings(rows),
        site_queue=MemorySiteQueue(rows),
        desks=MemoryDesks(rows),
        batches=MemoryBatches(rows),
        sites=MemorySites(rows),
        collections=MemoryCollections(rows),
        catch_up=rows.catch_up,
    )


def in_dynamodb(client: Any, tables: dict[str, str], catch_up: Callable[[], None] = lambda: None) -> Stores:
    clock = TurnedByHand()
    jobs, places = (Table(lambda: client, tables[name]) for name in ("JobsTable", "PlacesTable"))
    return Stores(
        clock=clock,
        jobs=JobTable(jobs, clock, RETENTION),
        dependants=DependantTable(jobs, clock, RETENTION),
        postings=PostingTable(jobs, clock, RETENTION),
        holdings=HoldingTable(jobs),
        site_queue=SiteQueueIndex(jobs),
        desks=DeskTable(jobs),
        batches=BatchTable(jobs),
        sites=SiteTable(places),
        collections=CollectionTable(places),
        catch_up=catch_up,
    )


def _moto(region: str = "us-east-1") -> Any:
    return boto3.client("dynamodb", region_name=region, aws_access_key_id="test", aws_secret_access_key="test")


def _open(kind: str, request: pytest.FixtureRequest, ends: ExitStack) -> Stores:
    if kind.startswith("memory"):
        return in_memory(LAG if kind == "memory-lagging" else 0)
    if kind == "local":
        client = request.getfixturevalue("dynamodb_local").client()
        tables = create_tables(TEMPLATE, client, expiring=False)
        for name in tables.values():
            ends.callback(client.delete_table, TableName=name)
        return in_dynamodb(client, tables)
    ends.enter_context(locked_moto())
    tables = create_tables(TEMPLATE, _moto())
    if kind == "moto":
        return in_dynamodb(_moto(), tables)
    create_tables(TEMPLATE, _moto("us-west-2"))
    lagging = LaggingClient(_moto(), _moto("us-west-2"), LAG)
    return in_dynamodb(lagging, tables, lagging.catch_up)


@pytest.fixture(params=["memory", "moto", pytest.param("local", marks=pytest.mark.java)])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Every store there is, empty."""
    with ExitStack() as ends:
        yield _open(request.param, request, ends)


@pytest.fixture(params=["memory-lagging", "moto-lagging"])
def lagging(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Stores whose indexes are LAG writes behind."""
    with ExitStack() as ends:
        yield _open(request.param, request, ends)
