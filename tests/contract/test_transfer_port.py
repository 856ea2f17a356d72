"""One suite for the ports ``Submissions`` and ``Tasks``: the twin in memory, and Globus's SDK against the emulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import globus_sdk
import pytest
from transfer_twin import TransferTwin

from chalicelib.adapters.globus_transfer import GlobusTransfer
from chalicelib.core.batch import Batch, Member, Movement
from chalicelib.core.consent import LoginReason, data_access, scopes_to_ask
from chalicelib.core.desk import Route
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, TaskId, UserId
from chalicelib.core.job import Stage
from chalicelib.core.paths import Location
from chalicelib.core.ports.transfer import Endpoints, IdenticalPaths, Submissions, Task, Tasks, TaskStatus
from chalicelib.core.tokens import AccessToken
from chalicelib.core.transfer_options import PLAIN, Options, filter_rules
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Settings, default_config

USER = UserId("11111111-1111-4111-8111-111111111111")
CALLBACK = "http://127.0.0.1:4321/api/callback"
NOWHERE = CollectionId("00000000-0000-4000-8000-00000000dead")
TAKES = 20.0


class Port(Submissions, Tasks, Endpoints, Protocol):
    """What both implementations are."""


class Moments:
    """Our clock port over the emulators' clock."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


class Ground:
    """Two collections, a user with a token, and time that a test turns."""

    def __init__(self) -> None:
        self.clock = TurnedClock(1_800_000_000.0)
        self.count = 0

    port: Port
    token: AccessToken
    lab: CollectionId
    site: CollectionId

    def put(self, *names: str) -> None:
        raise NotImplementedError

    def withdraw_consent(self) -> None:
        raise NotImplementedError

    def pass_time(self, seconds: float = TAKES * 2) -> None:
        self.clock.turn(seconds)

    def batch(self, *pairs: tuple[str, str], options: Options = PLAIN) -> tuple[Batch, tuple[Movement, ...]]:
        """A batch from the lab to the site, with a fresh submission id."""
        self.count += 1
        members = tuple(Member(JobNumber(1001 + index), 0, 1) for index in range(len(pairs)))
        movements = tuple(
            Movement(
                member=member,
                source=Location(self.lab, source),
                destination=Location(self.site, destination),
                options=options,
            )
            for member, (source, destination) in zip(members, pairs, strict=True)
        )
        made = Batch(
            id=BatchId(f"{self.count:016x}"),
            user=USER,
            submission=self.port.submission(self.token),
            route=Route(stage=Stage.STAGE_IN, source=self.lab, destination=self.site),
            members=members,
            deadline=Moments(self.clock).now() + timedelta(days=3),
        )
        return made, movements

    def sent(self, *pairs: tuple[str, str], options: Options = PLAIN) -> tuple[Batch, TaskId]:
        batch, movements = self.batch(*pairs, options=options)
        return batch, self.port.submit(self.token, batch, movements)

    def seen(self, task: TaskId) -> Task:
        return self.port.look(self.token, [task])[task]

    def ended(self, task: TaskId) -> Task:
        """The task at its end: it scans, then moves, and each begins when the one before has ended."""
        return self.until(lambda seen: seen.status is not TaskStatus.ACTIVE, task)

    def until(self, holds: Callable[[Task], bool], task: TaskId) -> Task:
        """Turn the clock, and give the emulator's threads real time to do what is due by it."""
        end, turns = time.monotonic() + 30, 0
        while True:
            if turns < 5:
                self.pass_time()
                turns += 1
            seen = self.seen(task)
            if holds(seen):
                return seen
            assert time.monotonic() < end, f"still {seen}"
            time.sleep(0.02)


class MemoryGround(Ground):
    """The twin."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = TransferTwin(clock=Moments(self.clock), takes=timedelta(seconds=TAKES), unseen={NOWHERE})
        self.port = self.twin
        self.lab, self.site = CollectionId("a" * 8), CollectionId("b" * 8)
        expires = Moments(self.clock).now() + timedelta(days=2)
        self.token = AccessToken(user=USER, value="token", version=1, expires_at=expires)

    def put(self, *names: str) -> None:
        self.twin.put(self.lab, *names)

    def withdraw_consent(self) -> None:
        self.twin.without_consent.add(self.lab)


class GlobusGround(Ground):
    """The adapter on the unmodified SDK, against the emulator and its real files."""

    def __init__(self, globus: GlobusEmulator, clock: TurnedClock) -> None:
        super().__init__()
        self.clock, self.globus, self.port = clock, globus, GlobusTransfer()
        self.lab, self.site = (CollectionId(globus.collections[name]) for name in ("lab", "theta"))
        self.token = self.signed_in()

    def signed_in(self) -> AccessToken:
        known = self.globus.client("qstage")
        client = globus_sdk.ConfidentialAppAuthClient(known.id, known.secret or "")
        client.oauth2_start_flow(CALLBACK, list(scopes_to_ask([self.lab, self.site])), refresh_tokens=True)
        with Browser() as browser:
            back = browser.sign_in(client.oauth2_get_authorize_url(), "ada@uni.example")
        answer = client.oauth2_exchange_code_for_tokens(back.partition("code=")[2].partition("&")[0])
        value = answer.by_resource_server["transfer.api.globus.org"]["access_token"]
        expires = Moments(self.clock).now() + timedelta(days=2)
        return AccessToken(user=USER, value=value, version=1, expires_at=expires)

    def put(self, *names: str) -> None:
        for name in names:
            path = self.globus.directory("lab") / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)

    def withdraw_consent(self) -> None:
        self.globus.controls.revoke_consent("ada@uni.example", scope=data_access(self.lab))

    def pass_time(self, seconds: float = TAKES * 2) -> None:
        super().pass_time(seconds)
        self.globus.controls.settle()


@pytest.fixture(params=["memory", "globus"])
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    if request.param == "memory":
        yield MemoryGround()
        return
    clock = TurnedClock(1_800_000_000.0)
    config = replace(default_config(), settings=Settings(overhead=TAKES, rate_per_second=None))
    with GlobusEmulator(tmp_path, config, clock=clock) as globus:
        for name, value in globus.environment().items():
            monkeypatch.setenv(name, value)
        yield GlobusGround(globus, clock)


def test_every_submission_id_is_another(ground: Ground) -> None:
    assert len({ground.port.submission(ground.token) for _ in range(3)}) == 3


def test_a_directory_and_a_file_arrive_and_the_task_tells_how_many(ground: Ground) -> None:
    ground.put("/in/a.txt", "/in/deep/b é.txt", "/one.txt")
    batch, task = ground.sent(("/in/", "/job/inputs/"), ("/one.txt", "/job/two.txt"))
    running = ground.seen(task)
    assert (running.status, running.label) == (TaskStatus.ACTIVE, batch.label)
    ended = ground.ended(task)
    assert (ended.status, ended.files_done, ended.skipped) == (TaskStatus.SUCCEEDED, 3, 0)
    delivered = sorted(ground.port.delivered(ground.token, task))
    assert delivered == ["/job/inputs/a.txt", "/job/inputs/deep/b é.txt", "/job/two.txt"]


@pytest.mark.parametrize(
    ("include", "exclude", "arrive"),
    [
        (["*.txt"], [], ["a.txt", "deep/c.txt", "old/e.txt"]),
        ([], ["*.txt", "old/"], ["b.dat", "deep/d.dat"]),
        (["*.txt", "b.*"], ["c*", "old/"], ["a.txt", "b.dat"]),
    ],
)
def test_of_a_directory_arrive_the_files_that_the_filters_let_through(
    ground: Ground, include: list[str], exclude: list[str], arrive: list[str]
) -> None:
    ground.put(*(f"/in/{name}" for name in ("a.txt", "b.dat", "deep/c.txt", "deep/d.dat", "old/e.txt")))
    _, task = ground.sent(("/in/", "/job/"), options=Options(rules=filter_rules(include, exclude), encrypt=True))
    assert ground.ended(task).status is TaskStatus.SUCCEEDED
    assert sorted(ground.port.delivered(ground.token, task)) == [f"/job/{name}" for name in arrive]


def test_a_batch_posted_twice_is_one_task(ground: Ground) -> None:
    ground.put("/one.txt")
    batch, movements = ground.batch(("/one.txt", "/job/one.txt"))
    tasks = {ground.port.submit(ground.token, batch, movements) for _ in range(3)}
    ground.pass_time()
    tasks.add(ground.port.submit(ground.token, batch, movements))
    assert len(tasks) == 1


def test_a_task_is_found_by_its_label_and_by_no_other(ground: Ground) -> None:
    ground.put("/one.txt")
    batch, task = ground.sent(("/one.txt", "/job/one.txt"))
    found = ground.port.find(ground.token, batch.label)
    assert found is not None
    assert found.id == task
    assert ground.port.find(ground.token, batch.label[:-1]) is None


def test_a_task_that_does_not_exist_is_absent_from_a_look(ground: Ground) -> None:
    assert ground.port.look(ground.token, [TaskId("00000000-0000-4000-8000-000000000000")]) == {}


def test_a_look_shows_besides_what_was_asked_for_only_what_goes_on(ground: Ground) -> None:
    ground.put("/one.txt", "/two.txt")
    began = Moments(ground.clock).now()
    _, mine = ground.sent(("/one.txt", "/job/one.txt"))
    _, other = ground.sent(("/two.txt", "/job/two.txt"))
    assert set(ground.port.look(ground.token, [mine])) == {mine, other}
    ground.ended(mine)
    ground.ended(other)
    ended = ground.port.look(ground.token, [mine])
    assert set(ended) == {mine}
    took = ended[mine].took
    assert took is not None
    # Globus's times are whole seconds.
    assert timedelta(seconds=TAKES) <= took <= Moments(ground.clock).now() - began + timedelta(seconds=1)


def test_a_missing_source_is_skipped_by_name_and_its_neighbour_arrives(ground: Ground) -> None:
    ground.put("/here.txt")
    _, task = ground.sent(("/here.txt", "/job/here.txt"), ("/nowhere/x.txt", "/job/x.txt"))
    ended = ground.ended(task)
    assert (ended.status, ended.skipped) == (TaskStatus.SUCCEEDED, 1)
    skips = ground.port.skipped(ground.token, task)
    assert [(skip.source_path, skip.code) for skip in skips] == [("/nowhere/x.txt", "FILE_NOT_FOUND")]
    assert list(ground.port.delivered(ground.token, task)) == ["/job/here.txt"]


def test_a_cancelled_task_ends_failed_and_a_second_cancel_does_no_harm(ground: Ground) -> None:
    ground.put("/one.txt")
    _, task = ground.sent(("/one.txt", "/job/one.txt"))
    ground.port.cancel(ground.token, task)
    ground.port.cancel(ground.token, task)
    assert ground.ended(task).status is TaskStatus.FAILED


def test_paths_of_a_live_task_are_refused_for_now(ground: Ground) -> None:
    ground.put("/one.txt")
    _, first = ground.sent(("/one.txt", "/job/one.txt"))
    with pytest.raises(IdenticalPaths) as refusal:
        ground.sent(("/one.txt", "/job/one.txt"))
    assert refusal.value.transient
    ground.ended(first)
    assert ground.sent(("/one.txt", "/job/one.txt"))[1] != first


def test_a_collection_without_consent_needs_a_login_that_names_it(ground: Ground) -> None:
    ground.put("/one.txt")
    ground.withdraw_consent()
    with pytest.raises(LoginNeeded) as need:
        ground.sent(("/one.txt", "/job/one.txt"))
    assert need.value.reason is LoginReason.CONSENT
    assert data_access(ground.lab) in " ".join(need.value.scopes)


def test_facts_of_a_collection_are_what_its_user_sees_and_nothing_where_they_see_none(ground: Ground) -> None:
    found = ground.port.facts(ground.token, ground.lab)
    assert found is not None
    assert (found.needs_data_access, bool(found.demand)) == (True, False)
    assert ground.port.facts(ground.token, NOWHERE) is None


@pytest.mark.parametrize("ground", ["globus"], indirect=True)
def test_facts_tell_what_a_collection_demands_of_a_sign_in(ground: GlobusGround) -> None:
    found = ground.port.facts(ground.token, CollectionId(ground.globus.collections["secure"]))
    assert found is not None
    assert (found.high_assurance, found.max_age) == (True, timedelta(minutes=30))


@pytest.mark.parametrize("ground", ["globus"], indirect=True)
def test_a_token_that_globus_no_longer_takes_answers_401(ground: GlobusGround) -> None:
    ground.globus.controls.revoke_tokens("ada@uni.example", "access")
    with pytest.raises(FarSide) as refusal:
        ground.port.submission(ground.token)
    assert refusal.value.status == 401
    assert not refusal.value.transient


@pytest.mark.parametrize("ground", ["globus"], indirect=True)
def test_an_answer_that_is_lost_is_transient_and_the_repeat_is_the_same_task(ground: GlobusGround) -> None:
    ground.put("/one.txt")
    batch, movements = ground.batch(("/one.txt", "/job/one.txt"))
    ground.globus.controls.fail("reset_after", method="POST", path="/v0.10/transfer")
    with pytest.raises(FarSide) as lost:
        ground.port.submit(ground.token, batch, movements)
    assert lost.value.transient
    ground.port.submit(ground.token, batch, movements)
    assert len(ground.globus.world.tasks.all()) == 1


@pytest.mark.parametrize("ground", ["globus"], indirect=True)
def test_a_directory_named_as_a_file_is_told_by_the_tasks_errors(ground: GlobusGround) -> None:
    ground.put("/in/a.txt")
    _, task = ground.sent(("/in", "/job/in"))
    seen = ground.until(lambda seen: not seen.ok, task)
    errors = ground.port.errors(ground.token, task)
    assert seen.status is TaskStatus.ACTIVE
    assert errors[0].code == "IS_A_DIRECTORY"
    assert "/in" in errors[0].detail
