"""Which adapter stands behind which port: the only file that names concrete adapters.

Everything is made when it is first asked for, so that each function builds, imports and needs permission for
only what it uses. boto3 clients are low-level and one a service.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.settings import Settings, settings
from chalicelib.version import VERSION

if TYPE_CHECKING:
    from chalicelib.adapters.dynamodb.table import Table
    from chalicelib.adapters.exchange_function import ExchangeFunction
    from chalicelib.adapters.globus_transfer import GlobusTransfer
    from chalicelib.adapters.login_table import LoginTable
    from chalicelib.adapters.secrets import GlobusSecret
    from chalicelib.adapters.token_table import TokenTable
    from chalicelib.core.forecast import Expectations
    from chalicelib.core.logins import SignInPolicy
    from chalicelib.core.ports.bell import Bell
    from chalicelib.core.ports.clock import Clock
    from chalicelib.core.ports.desks import Batches, Desks
    from chalicelib.core.ports.jobs import Dependants, Jobs, Postings
    from chalicelib.core.ports.places import Collections, Sites
    from chalicelib.service.access import Access
    from chalicelib.service.allowance import Allowance
    from chalicelib.service.bearers import Inspecting, KnownBearers
    from chalicelib.service.device import Devices
    from chalicelib.service.doors import Doors
    from chalicelib.service.exchange import Exchanging
    from chalicelib.service.jobs import ManageJobs
    from chalicelib.service.keys import Keys
    from chalicelib.service.leaving import Leaving
    from chalicelib.service.me import Me
    from chalicelib.service.outlooks import Outlooks
    from chalicelib.service.posting import PostJobs
    from chalicelib.service.reconcile import Reconciler
    from chalicelib.service.sign_in import SignIn
    from chalicelib.service.sites import ManageSites
    from chalicelib.service.sweep import Sweep
    from chalicelib.service.sync import Syncing
    from chalicelib.service.throttle import Throttle
    from chalicelib.service.tokens import Tokens
    from chalicelib.service.waking import Waking
    from chalicelib.service.watching import Watching


class Services:
    """The services of one process; also ``api.rooms.Rooms``."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen

    # what the outside sees

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    @cached_property
    def clock(self) -> Clock:
        from chalicelib.adapters.clock import SystemClock, TurnableClock

        path = self._settings.clock_file
        return SystemClock() if path is None else TurnableClock(path)

    @cached_property
    def access(self) -> Access:
        from chalicelib.service.access import Access

        return Access(keys=self._logins, bearers=self._bearers if self._settings.globus_scope else None)

    @cached_property
    def _bearers(self) -> KnownBearers:
        from chalicelib.service.bearers import KnownBearers

        return KnownBearers(source=self._exchange, throttle=self.throttle)

    @cached_property
    def keys(self) -> Keys:
        from chalicelib.service.keys import Keys

        return Keys(store=self._logins, entropy=os.urandom)

    @cached_property
    def me(self) -> Me:
        from chalicelib.service.me import Me

        return Me(keys=self._logins, profiles=self._logins, needs=self.waking)

    @cached_property
    def sign_in(self) -> SignIn:
        from chalicelib.adapters.globus_auth import GlobusAuthorize
        from chalicelib.service.sign_in import SignIn

        return SignIn(
            store=self._logins,
            exchange=self._exchange,
            collections=self._collections,
            authorize=GlobusAuthorize(self._settings.globus_client_id),
            wake=self.waking,
            entropy=os.urandom,
            redirect_uri=f"{self.base_url}/callback",
        )

    @cached_property
    def throttle(self) -> Throttle:
        from chalicelib.service.throttle import Throttle

        return Throttle(tallies=self._logins, most=self._settings.sign_ins_per_address)

    @cached_property
    def devices(self) -> Devices:
        from chalicelib.service.device import Devices

        return Devices(store=self._logins, sessions=self._logins, keys=self.keys, entropy=os.urandom)

    @cached_property
    def leaving(self) -> Leaving:
        from chalicelib.service.leaving import Leaving

        return Leaving(logins=self._logins, jobs=self.jobs, desks=self._desks, bell=self._bell, clock=self.clock)

    @cached_property
    def post_jobs(self) -> PostJobs:
        from chalicelib.service.posting import PostJobs

        return PostJobs(
            jobs=self._jobs,
            dependants=self._dependants,
            postings=self._postings,
            sites=self._sites,
            allowance=self._allowance,
            bell=self._bell,
            clock=self.clock,
            outlooks=self._outlooks,
            doors=self._doors,
        )

    @cached_property
    def _doors(self) -> Doors:
        from chalicelib.service.doors import Doors

        return Doors(profiles=self._logins)

    @cached_property
    def jobs(self) -> ManageJobs:
        from chalicelib.service.jobs import ManageJobs

        return ManageJobs(
            jobs=self._jobs,
            postings=self._postings,
            desks=self._desks,
            sites=self._sites,
            allowance=self._allowance,
            bell=self._bell,
            clock=self.clock,
            outlooks=self._outlooks,
            doors=self._doors,
        )

    @cached_property
    def sites(self) -> ManageSites:
        from chalicelib.service.sites import ManageSites

        return ManageSites(sites=self._sites, keys=self.keys, clock=self.clock)

    @cached_property
    def syncing(self) -> Syncing:
        from chalicelib.adapters.dynamodb.jobs import SiteQueueIndex
        from chalicelib.service.sync import Syncing

        queue = SiteQueueIndex(self._jobs_table)
        return Syncing(
            sites=self._sites,
            jobs=self._jobs,
            queue=queue,
            desks=self._desks,
            bell=self._bell,
            clock=self.clock,
            doors=self._doors,
        )

    @cached_property
    def _outlooks(self) -> Outlooks:
        from chalicelib.service.outlooks import Outlooks

        return Outlooks(profiles=self._logins, collections=self._collections, expected=self._expected)

    @cached_property
    def _expected(self) -> Expectations:
        from chalicelib.core.forecast import Expectations

        chosen = self._settings
        return Expectations(queue_wait=chosen.queue_wait, staging=chosen.staging_margin, lead=chosen.warning_lead)

    # what other functions do

    @cached_property
    def waking(self) -> Waking:
        from chalicelib.service.waking import Waking

        return Waking(desks=self._desks, jobs=self._jobs, bell=self._bell, clock=self.clock)

    @cached_property
    def inspecting(self) -> Inspecting:
        from chalicelib.adapters.globus_bearers import GlobusTokenReader
        from chalicelib.service.bearers import Inspecting

        return Inspecting(
            reader=GlobusTokenReader(self._secret),
            policy=self._policy,
            scope=self._settings.globus_scope,
            clock=self.clock,
        )

    @cached_property
    def _policy(self) -> SignInPolicy:
        from chalicelib.core.logins import SignInPolicy

        chosen = self._settings
        named = chosen.allowed_domains or chosen.allowed_identities
        return SignInPolicy(
            anyone=chosen.loopback and not named,
            domains=chosen.allowed_domains,
            identities=chosen.allowed_identities,
        )

    @cached_property
    def exchanging(self) -> Exchanging:
        from chalicelib.adapters.globus_auth import GlobusCollections, GlobusTokens
        from chalicelib.adapters.kms import KmsSealer
        from chalicelib.service.exchange import Exchanging

        return Exchanging(
            endpoint=GlobusTokens(self._secret, self.clock),
            sealer=KmsSealer(_client("kms"), self._settings.token_key),
            tokens=self._token_store,
            source=GlobusCollections(self._secret),
            cache=self._collections,
            policy=self._policy,
            clock=self.clock,
        )

    @cached_property
    def tokens(self) -> Tokens:
        from chalicelib.adapters.globus_auth import GlobusTokens
        from chalicelib.adapters.kms import KmsSeal
        from chalicelib.service.tokens import Tokens

        return Tokens(
            store=self._token_store,
            seal=KmsSeal(_client("kms"), self._settings.token_key),
            endpoint=GlobusTokens(self._secret, self.clock),
            live=self.waking,
        )

    @cached_property
    def reconciler(self) -> Reconciler:
        from chalicelib.adapters.globus_transfer import GlobusTransfer
        from chalicelib.service.passing import Passing
        from chalicelib.service.reconcile import Reconciler

        transfer = GlobusTransfer()
        passing = Passing(
            desks=self._desks,
            batches=self._batches,
            jobs=self._jobs,
            dependants=self._dependants,
            sites=self._sites,
            submissions=transfer,
            tasks=transfer,
            access=self.tokens,
            clock=self.clock,
            watching=self._watching(transfer),
        )
        life: timedelta = self._settings.reconcile_life
        return Reconciler(desks=self._desks, bell=self._bell, clock=self.clock, passing=passing, life=life)

    def _watching(self, transfer: GlobusTransfer) -> Watching:
        from chalicelib.adapters.sns import NoticeTopic, NoTopic
        from chalicelib.service.knowing import Knowledge
        from chalicelib.service.telling import Telling
        from chalicelib.service.watching import Watching

        topic = self._settings.notify_topic
        telling = Telling(
            notices=NoticeTopic(_client("sns"), topic) if topic else NoTopic(),
            consents=self.tokens,
            jobs=self._jobs,
            base_url=self.base_url,
        )
        known = Knowledge(collections=self._collections, endpoints=transfer)
        return Watching(known=known, telling=telling, expected=self._expected)

    @cached_property
    def sweep(self) -> Sweep:
        from chalicelib.service.sweep import Sweep

        return Sweep(desks=self._desks, bell=self._bell, clock=self.clock)

    # stores, and the function beside the API

    @cached_property
    def _exchange(self) -> ExchangeFunction:
        from chalicelib.adapters.exchange_function import ExchangeFunction

        return ExchangeFunction(_client("lambda"), self._settings.exchange_function)

    @cached_property
    def _jobs_table(self) -> Table:
        return _table(self._settings.jobs_table)

    @cached_property
    def _places_table(self) -> Table:
        return _table(self._settings.places_table)

    @cached_property
    def _jobs(self) -> Jobs:
        from chalicelib.adapters.dynamodb.jobs import JobTable

        return JobTable(self._jobs_table, self.clock, self._settings.retention)

    @cached_property
    def _allowance(self) -> Allowance:
        from chalicelib.adapters.dynamodb.holdings import HoldingTable
        from chalicelib.core.holdings import Caps
        from chalicelib.service.allowance import Allowance

        caps = Caps(jobs=self._settings.most_live_jobs, bytes=self._settings.most_live_bytes)
        return Allowance(holdings=HoldingTable(self._jobs_table), caps=caps, clock=self.clock)

    @cached_property
    def _dependants(self) -> Dependants:
        from chalicelib.adapters.dynamodb.jobs import DependantTable

        return DependantTable(self._jobs_table, self.clock, self._settings.retention)

    @cached_property
    def _postings(self) -> Postings:
        from chalicelib.adapters.dynamodb.postings import PostingTable

        return PostingTable(self._jobs_table, self.clock, self._settings.retention)

    @cached_property
    def _desks(self) -> Desks:
        from chalicelib.adapters.dynamodb.desks import DeskTable

        return DeskTable(self._jobs_table)

    @cached_property
    def _batches(self) -> Batches:
        from chalicelib.adapters.dynamodb.desks import BatchTable

        return BatchTable(self._jobs_table)

    @cached_property
    def _sites(self) -> Sites:
        from chalicelib.adapters.dynamodb.places import SiteTable

        return SiteTable(self._places_table)

    @cached_property
    def _collections(self) -> Collections:
        from chalicelib.adapters.dynamodb.places import CollectionTable

        return CollectionTable(self._places_table)

    @cached_property
    def _logins(self) -> LoginTable:
        from chalicelib.adapters.login_table import LoginTable

        return LoginTable(_client("dynamodb"), self._settings.logins_table)

    @cached_property
    def _token_store(self) -> TokenTable:
        from chalicelib.adapters.token_table import TokenTable

        return TokenTable(_client("dynamodb"), self._settings.tokens_table)

    @cached_property
    def _bell(self) -> Bell:
        from chalicelib.adapters.sqs import WakeQueue

        return WakeQueue(_client("sqs"), self._settings.wake_queue_url)

    @cached_property
    def _secret(self) -> GlobusSecret:
        from chalicelib.adapters.secrets import GlobusSecret

        return GlobusSecret(_client("secretsmanager"), self._settings.globus_secret, self.clock)


@cache
def services() -> Services:
    """The services of this process."""
    return Services(settings())


def _table(name: str) -> Table:
    from chalicelib.adapters.dynamodb.table import Table

    return Table(_client("dynamodb"), name)


@cache
def _client(service: str) -> Callable[[], Any]:
    """Gives the process's client of an AWS service, made at its first use."""

    @cache
    def made() -> Any:
        import boto3
        from botocore.config import Config

        # What a failure means is decided above; quick repeats cover a connection that went stale. A login's code
        # works once, so the function that spends it is never invoked twice for one.
        once = service == "lambda"
        config = Config(
            connect_timeout=1,
            read_timeout=27 if once else 5,
            retries={"mode": "standard", "total_max_attempts": 1 if once else 3},
            # Each value of each item against its shape, which AWS checks as well: it was a third of a POST's time.
            parameter_validation=False,
            # A name of our own: boto3 puts its long one together twice for each call, for a sixth of the call's time.
            user_agent=f"qstage/{VERSION}",
        )
        return boto3.client(service, config=config)

    return made
