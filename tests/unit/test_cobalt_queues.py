"""Who is let into a queue, and the words for those who are not."""

from __future__ import annotations

import pytest

from emulators.cobalt import life
from emulators.cobalt.jobs import Job, Spec
from emulators.cobalt.queues import Queue, RefusalError, blocked, check_queue, check_system, parse_queue
from emulators.cobalt.scores import Policy


def spec(nodes: int = 1, walltime: int = 10, queue: str = "debug", user: str = "ada") -> Spec:
    return Spec(user=user, command="/x", nodes=nodes, walltime=walltime, cwd="/w", queue=queue)


def jobs(count: int, user: str = "ada") -> list[Job]:
    return [life.submit(number, spec(user=user), 0.0)[0] for number in range(count)]


def refusal(asked: Spec, queue: Queue, present: list[Job] | None = None) -> str:
    with pytest.raises(RefusalError) as caught:
        check_queue(asked, {queue.name: queue}, present or [])
    return caught.value.shown


@pytest.mark.parametrize(
    ("asked", "queue", "shown"),
    [
        (
            spec(queue="nosuch"),
            Queue(name="debug"),
            "<Fault 1001: \"trying to add job to non-existent queue 'nosuch'\">\n",
        ),
        (
            spec(walltime=61),
            Queue(name="debug", maxtime=60),
            "<Fault 1001: \"Walltime greater than the 'debug' queue max walltime of 01:00:00\\n\">\n",
        ),
        (
            spec(walltime=9),
            Queue(name="debug", mintime=10),
            "<Fault 1001: \"Walltime less than the 'debug' queue min walltime of 00:10:00\\n\">\n",
        ),
        (
            spec(),
            Queue(name="debug", users="bob:eve"),
            "<Fault 1001: \"You are not allowed to submit to the 'debug' queue\\n\">\n",
        ),
        (spec(), Queue(name="debug", state="draining"), "<Fault 1001: \"The 'debug' queue is draining\">\n"),
        (spec(), Queue(name="debug", state="dead"), "<Fault 1001: \"The 'debug' queue is dead\">\n"),
        (
            spec(walltime=0),
            Queue(name="debug"),
            '<Fault 1001: \'No Max Walltime default or for queue "debug" defined. '
            "Please contact system administrator'>\n",
        ),
        (
            spec(nodes=4, walltime=60),
            Queue(name="debug", maxnodehours=3),
            "<Fault 1001: \"The limit of 3 node hours per user in the 'debug' queue has been reached\\n\">\n",
        ),
    ],
)
def test_a_job_is_turned_away_in_cobalts_words(asked: Spec, queue: Queue, shown: str) -> None:
    assert refusal(asked, queue) == shown


def test_a_user_is_turned_away_at_the_limit_and_another_is_not() -> None:
    queue = Queue(name="debug", maxqueued=5)
    assert "The limit of 5 jobs per user in the 'debug' queue has been reached" in refusal(spec(), queue, jobs(5))
    check_queue(spec(user="bob"), {"debug": queue}, jobs(5))


def test_a_stopped_queue_takes_jobs_and_starts_none() -> None:
    queue = Queue(name="debug", state="stopped")
    check_queue(spec(), {"debug": queue}, [])
    assert not queue.starts


def test_the_system_refuses_what_it_cannot_run_as_a_failed_call() -> None:
    with pytest.raises(RefusalError) as caught:
        check_system(spec(walltime=4), node_count=4, minimum_minutes=5)
    assert caught.value.shown == (
        "component error: XMLRPC failure <Fault 1004: 'Walltime less than minimum'> in system.validate_job\n\n"
    )
    with pytest.raises(RefusalError, match="Node count out of realistic range"):
        check_system(spec(nodes=5), node_count=4, minimum_minutes=5)
    check_system(spec(walltime=0), node_count=4, minimum_minutes=5)


def test_a_user_at_the_running_limit_waits_without_being_turned_away() -> None:
    queue = Queue(name="debug", maxrunning=1)
    first, second = jobs(2)
    running, _ = life.run(first, ("node1",), 0.0)
    assert blocked(second, queue, [running, second])
    assert not blocked(second, queue, [first, second])


def test_a_queue_is_read_from_the_command_line() -> None:
    assert parse_queue("debug,maxtime=60,priority=2,state=stopped") == Queue(
        name="debug", maxtime=60, priority=2.0, state="stopped"
    )
    assert parse_queue("wide,policy=wfp").policy is Policy.WFP
    with pytest.raises(ValueError, match="best"):
        parse_queue("wide,policy=best")
    with pytest.raises(ValueError, match="no such setting: size"):
        parse_queue("debug,size=4")
