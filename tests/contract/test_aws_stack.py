"""The whole stack round a small Chalice project: gateway, hosts, queue, schedules, by real clients."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import pytest
import requests

from emulators.aws import AwsStack
from emulators.aws.front import Seen
from emulators.clock import FileClock

PROJECT = Path(__file__).parent / "fixtures" / "aws_project"
TEMPLATE = PROJECT / "infra/template.json"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStack]:
    state = tmp_path_factory.mktemp("aws")
    with AwsStack(PROJECT, templates=[TEMPLATE], state_dir=state, clock_file=state / "clock") as running:
        yield running


@pytest.fixture(scope="module")
def api(stack: AwsStack) -> Iterator[Callable[..., requests.Response]]:
    with requests.Session() as session:
        yield lambda method, path, **more: session.request(method, stack.gateway_url + path, timeout=30, **more)


T = TypeVar("T")
Api = Callable[..., requests.Response]


def eventually(look: Callable[[], T], seconds: float = 10.0) -> T:
    """Poll until ``look`` gives something true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def note(stack: AwsStack, number: str) -> Any:
    found = stack.client("dynamodb").get_item(TableName="small-notes", Key={"id": {"S": number}}, ConsistentRead=True)
    return found.get("Item")


def notes(stack: AwsStack, prefix: str) -> list[str]:
    items = stack.client("dynamodb").scan(TableName="small-notes")["Items"]
    return sorted(item["id"]["S"] for item in items if item["id"]["S"].startswith(prefix))


def send(stack: AwsStack, **body: Any) -> None:
    stack.client("sqs").send_message(QueueUrl=stack.created.refs["WorkQueue"], MessageBody=json.dumps(body))


def turn(stack: AwsStack, seconds: float) -> None:
    assert isinstance(stack.clock, FileClock)
    stack.clock.turn(seconds)


# -- the gateway


def test_a_post_reaches_the_table_and_the_queue_reaches_its_function(stack: AwsStack, api: Api) -> None:
    answer = api("POST", "/notes", json={"id": "one", "text": "hello"})
    assert (answer.status_code, answer.json()) == (201, {"id": "one"})
    assert note(stack, "one")["text"]["S"] == "hello"
    eventually(lambda: note(stack, "done-one"))


def test_a_path_parameter_arrives_decoded(api: Api) -> None:
    assert api("GET", "/notes/a%20b%2F%C3%A9").json()["note"] == "a b/é"


def test_a_request_under_no_route_is_answered_as_api_gateway_answers(stack: AwsStack, api: Api) -> None:
    for method, path in (("GET", "/nowhere"), ("DELETE", "/notes")):
        answer = api(method, path)
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
    outside = requests.get(stack.gateway_url.removesuffix("/api") + "/notes", timeout=10)
    assert (outside.status_code, outside.json()) == (403, {"message": "Forbidden"})


def test_cookies_and_bytes_come_through(api: Api) -> None:
    answer = api("GET", "/cookies", headers={"Accept": "application/octet-stream"})
    assert answer.content == b"\x00\xff"
    assert dict(answer.cookies) == {"a": "1", "b": "2"}


def test_an_uploads_bytes_come_through_in_either_framing(api: Api) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    assert api("POST", "/upload", data=b"\x00\xffab", headers=headers).json() == {"bytes": [0, 255, 97, 98]}
    chunks = iter([b"\x00\xff", b"ab"])
    assert api("POST", "/upload", data=chunks, headers=headers).json() == {"bytes": [0, 255, 97, 98]}


def test_a_preflight_is_answered_without_the_function(api: Api) -> None:
    answer = api("OPTIONS", "/notes/x")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Methods"] == "GET,OPTIONS"


def test_too_much_is_refused_at_the_door(stack: AwsStack, api: Api) -> None:
    answer = api("POST", "/notes", json={"id": "big", "text": "x" * (6 * 1024 * 1024)})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})
    connection = http.client.HTTPConnection("127.0.0.1", int(stack.gateway_url.split(":")[2].split("/")[0]))
    connection.putrequest("POST", "/api/notes")
    connection.putheader("Content-Length", str(11 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413, "it is refused before it is sent"
    connection.close()


def test_a_function_that_dies_is_a_502_and_the_next_request_finds_another(api: Api) -> None:
    answer = api("GET", "/die")
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})
    assert api("GET", "/login").status_code == 401


def test_requests_are_served_side_by_side_and_the_rest_wait_their_turn(api: Api, stack: AwsStack) -> None:
    pids: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: pids.append(requests.get(stack.gateway_url + "/sleep/0.3", timeout=30).json()["pid"])
        )
        for _ in range(4)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - started
    assert len(pids) == 4
    assert len(set(pids)) == 2, "two hosts, one event at a time each"
    assert 0.6 <= took < 2.0


def test_a_kept_connection_serves_many_requests_without_a_stall(api: Api) -> None:
    api("GET", "/login")
    took: list[float] = []
    for _ in range(20):
        started = time.monotonic()
        assert api("GET", "/login").status_code == 401
        took.append(time.monotonic() - started)
    assert median(took) < 0.03, "a delayed ACK alone would be 0.04 s"


# -- the functions


def test_a_function_has_its_own_settings_and_nothing_of_this_process(
    api: Api, monkeypatch: pytest.MonkeyPatch, stack: AwsStack
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_PARENT", "x")
    stack.kill("api_handler")
    found = api("GET", "/environment").json()
    assert {"NOTES_TABLE", "WORK_QUEUE", "SEAL_FUNCTION", "AWS_ENDPOINT_URL"} <= set(found["names"])
    assert not {"A_SECRET_OF_THE_PARENT", "HOME", "PYTHONPATH"} & set(found["names"])
    assert found["cwd"] == str(PROJECT)


def test_the_api_cannot_unseal_by_its_own_policy(api: Api) -> None:
    found = api("GET", "/sealed").json()
    assert found["code"] == "AccessDeniedException"
    assert "kms:Decrypt" in found["message"]


def test_one_function_invokes_another_and_gets_its_answer(api: Api) -> None:
    found = api("GET", "/ask/ann").json()
    assert found["failed"] is None
    assert found["answer"]["name"] == "ann"
    assert found["answer"]["function"] == "seal_name"
    assert 0 < found["answer"]["left"] <= 5000, "its own time-out, by config.json"


def test_an_invoked_functions_error_is_its_answer(api: Api) -> None:
    found = api("GET", "/ask/nobody").json()
    assert found["failed"] == "Unhandled"
    assert found["answer"]["errorType"] == "ValueError"


def test_an_invocation_as_an_event_is_not_waited_for(stack: AwsStack) -> None:
    answer = stack.client("lambda").invoke(FunctionName="seal_name", InvocationType="Event", Payload=b'{"name": "bo"}')
    assert answer["StatusCode"] == 202
    eventually(lambda: stack.logs("seal_name").count("END RequestId"))


# -- the queue


def test_a_failed_message_comes_back_after_its_visibility_and_ends_in_the_dead_letter_queue(stack: AwsStack) -> None:
    send(stack, id="bad", fail=True)
    eventually(lambda: stack.logs("work").count("work on bad") == 1)
    eventually(stack.idle)
    turn(stack, 121)
    eventually(lambda: stack.logs("work").count("work on bad") == 2)
    eventually(stack.idle)
    turn(stack, 121)
    sqs = stack.client("sqs")
    dead = eventually(lambda: sqs.receive_message(QueueUrl=stack.created.refs["Dead"]).get("Messages"))
    assert json.loads(dead[0]["Body"]) == {"id": "bad", "fail": True}
    assert stack.logs("work").count("work on bad") == 2


def test_a_delayed_message_waits_for_the_shared_clock(stack: AwsStack) -> None:
    stack.client("sqs").send_message(
        QueueUrl=stack.created.refs["WorkQueue"], MessageBody=json.dumps({"id": "later"}), DelaySeconds=600
    )
    send(stack, id="sooner")
    eventually(lambda: note(stack, "done-sooner"))
    assert note(stack, "done-later") is None
    turn(stack, 601)
    eventually(lambda: note(stack, "done-later"))


def test_a_message_is_taken_up_within_milliseconds(stack: AwsStack) -> None:
    send(stack, id="warm-up")
    eventually(lambda: note(stack, "done-warm-up"))
    eventually(stack.idle)
    began: list[float] = []
    stack.observe(lambda seen: began.append(time.monotonic()) if _is_put_by_work(seen) else None)
    started = time.monotonic()
    send(stack, id="quick")
    eventually(lambda: note(stack, "done-quick"))
    assert began[0] - started < 0.5, "most of it the function's own work"


def _is_put_by_work(seen: Seen) -> bool:
    return seen.caller == "work" and seen.call.operation == "PutItem" and seen.status is None


def test_a_killed_host_fails_its_event_which_comes_again(stack: AwsStack) -> None:
    send(stack, id="struck", hang=True)
    eventually(lambda: "work on struck" in stack.logs("work"))
    assert stack.kill("work", within=5) == 1
    eventually(stack.idle)
    send(stack, id="after")
    eventually(lambda: note(stack, "done-after"))
    turn(stack, 121)
    eventually(lambda: stack.logs("work").count("work on struck") == 2)
    stack.client("sqs").purge_queue(QueueUrl=stack.created.refs["WorkQueue"])
    stack.kill("work", within=5)
    eventually(stack.idle)


def test_an_observer_can_strike_a_host_at_a_chosen_call(stack: AwsStack) -> None:
    struck: list[int] = []

    def strike(seen: Seen) -> None:
        if _is_put_by_work(seen) and not struck:
            struck.append(stack.kill("work"))

    stack.observe(strike)
    send(stack, id="cut")
    eventually(lambda: struck)
    eventually(lambda: note(stack, "done-cut"))
    eventually(stack.idle)
    assert stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.created.refs["WorkQueue"], AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"] == {"ApproximateNumberOfMessagesNotVisible": "1"}, "its call went through, its message did not end"


# -- the schedules


def test_a_schedule_fires_once_for_any_number_of_turns_it_missed(stack: AwsStack) -> None:
    fired = stack.logs("tick").count("END RequestId")
    turn(stack, 61)
    eventually(lambda: stack.logs("tick").count("END RequestId") == fired + 1)
    last = datetime.fromisoformat(notes(stack, "tick-")[-1].removeprefix("tick-")).timestamp()
    turn(stack, last + 10 * 60 + 5 - stack.clock.now())  # ten due times, and far from the next
    eventually(lambda: stack.logs("tick").count("END RequestId") == fired + 2)
    send(stack, id="looked-again")
    eventually(lambda: note(stack, "done-looked-again"))
    assert stack.logs("tick").count("START RequestId") == fired + 2


def test_a_scheduled_event_is_eventbridges(stack: AwsStack) -> None:
    outcome = stack.fire("tick")
    assert outcome is not None
    assert not outcome.failed
    newest = note(stack, notes(stack, "tick-")[-1])
    assert newest["source"]["S"] == "aws.events"
    assert re.fullmatch(r"tick-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", newest["id"]["S"])


# -- life


def serve(state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emulators.aws", "serve", "--project", str(PROJECT)]
    command += ["--template", str(TEMPLATE), "--state", str(state)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def hosts_of(state: Path) -> list[int]:
    """The processes whose standard error is a log of this stack."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            log = os.readlink(directory / "fd" / "2")
        except OSError:
            continue
        if log.startswith(str(state)):
            found.append(int(directory.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_served_stack_leaves_no_process_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path) as served:
        try:
            published = eventually(lambda: (tmp_path / "stack.json").exists(), 20)
            assert published
            addresses = json.loads((tmp_path / "stack.json").read_text())
            assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
            assert requests.get(addresses["gateway_url"] + "/login", timeout=10).status_code == 401
            assert len(hosts_of(tmp_path)) >= 4
            started = time.monotonic()
        finally:
            served.send_signal(number)
        served.wait(5)
        eventually(lambda: not hosts_of(tmp_path), 2)
        assert time.monotonic() - started < 2.0
        assert served.stdout is not None
        assert addresses["admin"]["AWS_SECRET_ACCESS_KEY"] not in served.stdout.read()
