"""The planner, its stores in memory, against the Globus emulator through the real adapter: what each refusal and each
error of a task does to the jobs it is about, and to their neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, SCRATCH, START, House, a_document
from shared_clock import SharedClock

from chalicelib.adapters.globus_transfer import GlobusTransfer
from chalicelib.api import render
from chalicelib.core.consent import scopes_to_ask
from chalicelib.core.ids import CollectionId, JobNumber
from chalicelib.core.job import State
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Client, Collection, Config, Identity, Permission, Settings

CALLBACK = "http://127.0.0.1:4321/api/callback"
PEOPLE = "ada@uni.example"
READ_ONLY = (Permission(), Permission(path="/locked/", access="r"))
WORLD = Config(
    identities=(Identity(username=PEOPLE, id=ADA.user),),
    clients=(Client(name="qstage", redirect_uris=(CALLBACK,)), Client(name="cli")),
    collections=(
        Collection(name="lab", id=LAB, permissions=(Permission(), Permission(path="/secret/", access="none"))),
        Collection(name="archive", id=ARCHIVE, permissions=READ_ONLY),
        Collection(name="scratch", id=SCRATCH),
        Collection(name="laptop", id=OTHER, kind="personal", bandwidth=2.0),
    ),
    settings=Settings(overhead=5.0, bandwidth=1e15, retry_interval=5.0),
)
NAMES = {LAB: "lab", ARCHIVE: "archive", SCRATCH: "scratch", OTHER: "laptop"}


class Files:
    """Where the agent of a house lays its outputs: on the emulator's disk."""

    def __init__(self, globus: GlobusEmulator) -> None:
        self.globus = globus

    def put(self, collection: CollectionId, *names: str) -> None:
        for name in names:
            path = self.globus.directory(NAMES[collection]) / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)


class Ground:
    """A house on the emulator; its user has signed in and consented to everything."""

    def __init__(self, globus: GlobusEmulator, clock: TurnedClock) -> None:
        self.globus = globus
        self.house = House(clock=SharedClock(turned=clock, globus=globus), transfer=GlobusTransfer())
        self.files = self.house.globus = Files(globus)  # type: ignore[assignment]
        self.house.access.value = self.signed_in()
        self.files.put(LAB, "/in/a", "/in/deep/b", "/x")
        self.files.put(OTHER, "/in/a")

    def signed_in(self) -> str:
        known = self.globus.client("qstage")
        client = globus_sdk.ConfidentialAppAuthClient(known.id, known.secret or "")
        client.oauth2_start_flow(CALLBACK, list(scopes_to_ask([LAB, ARCHIVE, SCRATCH])), refresh_tokens=True)
        with Browser() as browser:
            back = browser.sign_in(client.oauth2_get_authorize_url(), PEOPLE)
        answer = client.oauth2_exchange_code_for_tokens(back.partition("code=")[2].partition("&")[0])
        token: str = answer.by_resource_server["transfer.api.globus.org"]["access_token"]
        return token

    def post(self, *documents: dict[str, Any]) -> list[JobNumber]:
        return self.house.post(*documents)

    def go_on(self, *numbers: int, until: set[State] | None = None, looks: int = 60, agent: bool = False) -> None:
        """Answer each ring when it is due, until these jobs are in one of the states."""
        wanted = until or {State.STAGED, State.COMPLETED, State.FAILED}
        for _ in range(looks):
            self.house.wake()
            if agent:
                self.house.agent.work()
                self.house.wake()
            if numbers and all(self.house.job(number).state in wanted for number in numbers):
                return
            self.to_the_next_look()

    def to_the_next_look(self) -> None:
        wake_at, now = self.house.desk().wake_at, self.house.clock.now()
        self.house.clock.turn(seconds=5.0 if wake_at is None else max(0.5, (wake_at - now).total_seconds()))

    def seen(self, number: int) -> dict[str, Any]:
        return render.job(
            self.house.manage.show(ADA, JobNumber(number)), "https://q.test", None, self.house.clock.now()
        )

    def failure(self, number: int) -> tuple[str, str]:
        """The code and the words of a failed job, as its user reads them."""
        error = self.seen(number)["error"]
        assert error is not None, self.house.job(number)
        return error["code"], error["detail"]

    def overlaps(self) -> list[str]:
        """Destinations that two tasks were writing to at the same time."""
        tasks = self.globus.world.tasks.all()
        spans = [
            (task.request_time, task.completion_time or float("inf"), {item.destination_path for item in task.items})
            for task in tasks
        ]
        return [
            path
            for index, (begun, ended, paths) in enumerate(spans)
            for other_begun, other_ended, others in spans[index + 1 :]
            if begun < other_ended and other_begun < ended
            for path in paths & others
        ]


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    clock = TurnedClock(START.timestamp())
    with GlobusEmulator(tmp_path, WORLD, clock=clock) as globus:
        for name, value in globus.environment().items():
            monkeypatch.setenv(name, value)
        yield Ground(globus, clock)


def an_input(path: str, **fields: Any) -> dict[str, Any]:
    return a_document(source=path, results=False, **fields)


def test_a_missing_input_fails_its_job_by_name_within_two_looks_and_its_99_neighbours_are_staged(
    ground: Ground,
) -> None:
    numbers = ground.post(*(an_input("/x" if index != 42 else "/nowhere/y") for index in range(100)))
    looked: list[float] = []
    while ground.house.job(numbers[0]).state is not State.STAGED:
        ground.go_on(looks=1)
        looked.append(ground.house.clock.now().timestamp())
    (task,) = ground.globus.world.tasks.all()
    assert task.completion_time is not None
    assert sum(at > task.completion_time for at in looked) <= 2
    assert ground.failure(numbers[42])[0] == "source_missing"
    assert "/nowhere/y" in ground.failure(numbers[42])[1]
    assert {ground.house.job(number).state for number in numbers if number != numbers[42]} == {State.STAGED}
    arrived = sorted(path.parts[-3] for path in ground.globus.directory("scratch").rglob("inputs/x"))
    assert arrived == sorted(f"job-{number}" for number in numbers if number != numbers[42])
    assert ground.overlaps() == []


def test_an_unwritable_destination_fails_its_job_in_globus_s_words_and_its_neighbours_are_delivered(
    ground: Ground,
) -> None:
    outputs = [
        {"source": "results/", "target": f"globus://{ARCHIVE}/{'locked' if n == 7 else 'runs'}/{n}/"}
        for n in range(100)
    ]
    numbers = ground.post(*(a_document(source=None, results=False, stage_out=[output]) for output in outputs))
    ground.go_on(*numbers, until={State.COMPLETED, State.FAILED}, agent=True)
    code, words = ground.failure(numbers[7])
    assert code == "permission_denied"
    refused = [each for task in ground.globus.world.tasks.all() for each in task.events if "/locked/7/" in each.details]
    assert refused, "Globus has said why"
    assert any(f"{each.description} {each.details}".strip() in words for each in refused), words
    assert {ground.house.job(number).state for number in numbers if number != numbers[7]} == {State.COMPLETED}
    for index in range(100):
        there = sorted(path.name for path in (ground.globus.directory("archive") / f"runs/{index}").glob("*"))
        assert there == ([] if index == 7 else ["r1", "r2"])
    assert ground.overlaps() == []


@pytest.mark.parametrize(
    ("source", "code", "named"),
    [
        ("/in", "is_a_directory", "/in"),
        ("/x/", "not_a_directory", "/x"),
        ("/secret/a", "source_denied", "/secret/a"),
    ],
)
def test_a_source_that_is_not_as_it_was_named_fails_its_job_and_no_other(
    ground: Ground, source: str, code: str, named: str
) -> None:
    ground.files.put(LAB, "/secret/a")
    bad, good = ground.post(an_input(source), an_input("/x"))
    ground.go_on(bad, good)
    assert ground.house.job(good).state is State.STAGED
    assert ground.failure(bad)[0] == code
    assert named in ground.failure(bad)[1]
    assert ground.overlaps() == []


def test_a_full_disk_is_shown_and_waited_out(ground: Ground) -> None:
    ground.globus.controls.set_quota("scratch", 3)
    numbers = ground.post(*(an_input("/x") for _ in range(3)))
    ground.go_on(looks=12)
    states = [ground.house.job(number).state for number in numbers]
    assert states.count(State.STAGED) == 1, "what had room is not held up"
    waits = [number for number in numbers if ground.house.job(number).state is State.STAGE_IN]
    assert all(ground.seen(number)["waiting_for"] == ["space"] for number in waits)
    ground.globus.controls.set_quota("scratch", None)
    ground.go_on(*numbers)
    assert {ground.house.job(number).state for number in numbers} == {State.STAGED}
    assert ground.overlaps() == []


def test_a_deleted_collection_fails_what_comes_from_it_and_nothing_else(ground: Ground) -> None:
    ground.globus.controls.delete_collection("laptop")
    *lost, kept = ground.post(*(an_input("/in/", lab=OTHER) for _ in range(4)), an_input("/x"))
    ground.go_on(*lost, kept)
    assert {ground.failure(number)[0] for number in lost} == {"EndpointDeleted"}
    assert ground.house.job(kept).state is State.STAGED
    posts = [seen for seen in ground.globus.controls.requests() if seen.path.endswith("/transfer")]
    assert len(posts) == 2, "one refusal for all four, and one task"


def test_a_personal_collection_that_is_offline_is_shown_and_waited_for(ground: Ground) -> None:
    ground.globus.controls.offline("laptop")
    away, here = ground.post(an_input("/in/", lab=OTHER), an_input("/x"))
    ground.go_on(here)
    ground.go_on(looks=3)
    assert ground.house.job(here).state is State.STAGED
    assert ground.seen(away)["staging"]["trouble"]["code"] == "GC_NOT_CONNECTED"
    ground.globus.controls.online("laptop")
    ground.go_on(away)
    assert ground.house.job(away).state is State.STAGED


def test_a_paused_collection_is_shown_and_waited_for(ground: Ground) -> None:
    ground.globus.controls.pause("lab", "Maintenance until noon")
    held, free = ground.post(an_input("/x"), an_input("/in/", lab=OTHER))
    ground.go_on(free)
    ground.go_on(looks=2)
    assert ground.seen(held)["waiting_for"] == ["paused_collection"]
    ground.globus.controls.unpause()
    ground.go_on(held)
    assert ground.house.job(held).state is State.STAGED


@pytest.mark.parametrize(
    ("status", "code", "seconds"),
    [(503, "ServiceUnavailable", 40), (429, "ClientError.TooManyRequests", 25)],
)
def test_maintenance_and_a_rate_limit_are_waited_out_for_as_long_as_globus_asks(
    ground: Ground, status: int, code: str, seconds: int
) -> None:
    body = {"code": code, "message": "later", "request_id": "r", "resource": "/"}
    headers = {"Retry-After": str(seconds)}
    ground.globus.controls.fail(path="/v0.10/transfer", status=status, body=body, headers=headers)
    (number,) = ground.post(an_input("/x"))
    ground.house.wake()
    assert ground.house.desk().wake_at == ground.house.clock.now() + timedelta(seconds=seconds)
    assert ground.seen(number)["staging"]["trouble"]["code"] == code
    ground.go_on(number)
    assert ground.house.job(number).state is State.STAGED
    assert len(ground.globus.world.tasks.all()) == 1


def test_too_many_pending_tasks_are_waited_out_with_the_same_submission(ground: Ground) -> None:
    body = {"code": "ClientError.Conflict.TooManyPendingJobs", "message": "100", "request_id": "r", "resource": "/"}
    ground.globus.controls.fail(path="/v0.10/transfer", status=409, body=body, times=3)
    (number,) = ground.post(an_input("/x"))
    ground.house.wake()
    assert ground.seen(number)["staging"]["trouble"]["code"] == body["code"]
    ground.go_on(number)
    assert ground.house.job(number).state is State.STAGED
    ids = [seen for seen in ground.globus.controls.requests() if seen.path.endswith("/submission_id")]
    assert len(ids) == 1


def test_the_same_paths_in_a_task_of_another_program_are_waited_out(ground: Ground) -> None:
    home = ground.house.sites.list()[0].job_place(ADA.user, "job-1001").path
    client = globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(ground.house.access.value))
    stranger = globus_sdk.TransferData(LAB, SCRATCH)
    stranger.add_item("/x", f"{home}inputs/x", recursive=False)
    client.submit_transfer(stranger)
    held, free = ground.post(an_input("/x"), an_input("/in/", lab=OTHER))
    ground.house.wake()
    assert ground.seen(held)["staging"]["trouble"]["code"] == "IdenticalPaths"
    ground.go_on(held, free)
    assert ground.house.job(held).state is ground.house.job(free).state is State.STAGED
    assert ground.overlaps() == []


def test_a_checksum_that_never_matches_fails_its_job_and_no_other(ground: Ground) -> None:
    ground.files.put(LAB, "/bad")
    ground.globus.controls.corrupt_file("/bad", times=1000)
    bad, good = ground.post(an_input("/bad"), an_input("/x"))
    ground.go_on(bad, good)
    assert ground.failure(bad)[0] == "verify_checksum"
    assert "/bad" in ground.failure(bad)[1]
    assert ground.house.job(good).state is State.STAGED


def test_a_code_that_nobody_has_heard_of_is_shown_and_passes_with_its_cause(ground: Ground) -> None:
    ground.globus.controls.fail_file("/x", "MOON_IN_THE_WAY", times=4)
    (number,) = ground.post(an_input("/x"))
    ground.go_on(looks=8)
    assert ground.seen(number)["staging"]["trouble"]["code"] == "MOON_IN_THE_WAY"
    ground.go_on(number)
    assert ground.house.job(number).state is State.STAGED


def test_what_never_comes_back_fails_at_its_deadline_with_its_cause(ground: Ground) -> None:
    ground.globus.controls.offline("laptop")
    (number,) = ground.post(an_input("/in/", lab=OTHER))
    ground.go_on(looks=6)
    ground.house.clock.turn(days=3)
    ground.house.access.value = ground.signed_in()
    ground.go_on(number)
    code, words = ground.failure(number)
    assert code == "deadline"
    assert "GC_NOT_CONNECTED" in words


def test_files_bytes_and_rate_are_shown_while_a_task_runs(ground: Ground) -> None:
    ground.files.put(OTHER, *(f"/many/{index}" for index in range(30)))
    (number,) = ground.post(an_input("/many/", lab=OTHER))
    ground.go_on(looks=25)
    staging = ground.seen(number)["staging"]
    assert 0 < staging["files"] < 30
    assert staging["bytes"] > 0
    assert staging["bytes_per_second"] > 0
    assert staging["tasks"] == [ground.globus.world.tasks.all()[0].id]


def test_a_thousand_jobs_take_at_most_twelve_calls_of_globus(ground: Ground) -> None:
    object.__setattr__(ground.globus.world.settings, "overhead", 10.0)
    ground.globus.controls.forget_requests()
    numbers = ground.post(*(an_input("/x") for _ in range(1000)))
    ground.go_on(*numbers)
    assert {ground.house.job(number).state for number in numbers} == {State.STAGED}
    asked = [seen.path for seen in ground.globus.controls.requests()]
    assert len([path for path in asked if "/endpoint/" not in path]) <= 12
    assert len(asked) <= 14, "what is learnt of a collection is learnt once, for everybody"
