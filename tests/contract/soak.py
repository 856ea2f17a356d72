"""``make soak``: many jobs of many users through bad weather, on real files, and whether each ends as it should.

The loop is the service's own, its stores in memory with lagging indexes; Globus is the emulator, reached by the real
adapters over HTTP, its clock turned with the service's. A tenth of the calls to Globus fail (429, 503, resets before
and after the effect, answers that come too late or are cut); rings and the site's calls get lost, come twice and come
late; tokens expire and are revoked, consents are rescinded, until their user signs in; users hold, release and cancel
jobs at random. In the end every output must be, byte for byte, what its input calls for, and no file may have been
written twice. The seed decides what users and the weather do; how far the emulator's threads have come by then is the
machine's affair, so that a seed brings much the same run again, not the very same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest import mock

from loop_house import AGENT, START, THETA
from soak_weather import CallLost, Weather
from soak_world import World, a_world, people
from whole_story import all_story_faults

from chalicelib.core.errors import Conflict
from chalicelib.core.ids import JobRef, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import Caller
from chalicelib.core.lifecycle import faults_of
from emulators.clock import TurnedClock
from emulators.globus import GlobusEmulator

WAVES, TROUBLED, STORMY, LONGEST = 20, 60, 180, 3000
"""Minutes: of POSTs, of users' troubles, of failing calls, and until a soak is given up."""


@dataclass
class Soak:
    """One soak: ``jobs`` of ``users`` users."""

    seed: int
    jobs: int
    users: int
    told: Callable[[str], None] = lambda words: None
    did: Counter[str] = field(default_factory=Counter)

    def run(self, data: Path) -> dict[str, object]:
        """Run it to its end in a directory that is empty, and check it; returns the figures."""
        callers = people(self.users)
        clock = TurnedClock(START.timestamp())
        with GlobusEmulator(data, a_world(callers), clock=clock) as globus, _led_to(globus):
            walk = random.Random(self.seed)
            world = World(globus, callers, walk)
            try:
                weather = Weather(walk, globus.controls)
                minutes = self._live(world, walk, weather)
                return {**self._figures(weather, minutes), **Verdict(world, self.seed).pronounce()}
            finally:
                world.close()

    def _figures(self, weather: Weather, minutes: int) -> dict[str, object]:
        failed = sum(count for kind, count in weather.met.items() if kind.startswith("Transfer"))
        return {
            "seed": self.seed,
            "jobs": self.jobs,
            "users": self.users,
            "minutes": minutes,
            "calls": weather.calls,
            "failed_calls": failed,
            "met": dict(sorted(weather.met.items())),
            "did": dict(sorted(self.did.items())),
        }

    def _live(self, world: World, walk: random.Random, weather: Weather) -> int:
        house, coming = world.house, list[UserId]()
        house.gate = weather
        house.agent.wire = weather.wire(lambda request: house.syncing.sync(AGENT, THETA, request))
        each = self.jobs // self.users
        for minute in range(LONGEST):
            if minute > STORMY:
                weather.clear_up()
            if minute < WAVES:
                for caller in world.callers:
                    if names := range(each * minute // WAVES, each * (minute + 1) // WAVES):
                        world.post(caller, names)
            house.clock.turn(minutes=1)
            house.rows.catch_up()
            house.sweep.run()
            coming += [user for user, _ in house.rung.take()]
            coming, rung = [], coming
            for user in rung:
                for _ in range(weather.rings()):
                    house.reconciler.wake(user, house.time_left)
            with contextlib.suppress(CallLost):
                house.agent.work(1)
            self._meddle(world, walk, troubled=minute < TROUBLED)
            self.told(f"minute {minute}: {sum(job.state.final for job in house.committed())} jobs have ended")
            if minute >= WAVES and not house.agent.held and all(job.state.final for job in house.committed()):
                return minute
        left = Counter(job.state.value for job in house.committed() if not job.state.final)
        raise AssertionError(f"seed {self.seed}: jobs do not end: {left}")

    def _meddle(self, world: World, walk: random.Random, *, troubled: bool) -> None:
        """What is done to users, and what they do."""
        if troubled:
            self._take_something_away(world, walk)
        for caller in world.callers:
            need = world.house.rows.desks[caller.user].plan.need
            if need is not None and (not troubled or walk.random() < 0.3):
                self.did["signed in"] += world.sign_in(caller)
        live = [job for job in world.house.committed() if not job.state.final]
        by_user = {caller.user: caller for caller in world.callers}
        for job in walk.sample(live, min(len(live), 3 if troubled else 0)):
            word = walk.choice(["cancel", "hold"])
            self._wish(world, by_user[job.ref.user], job, word)
        for job in live:
            if job.hold is not None and (not troubled or walk.random() < 0.2):
                self._wish(world, by_user[job.ref.user], job, "release")

    def _take_something_away(self, world: World, walk: random.Random) -> None:
        """One user's tokens or consent; Globus tells nobody."""
        caller, controls = walk.choice(world.callers), world.globus.controls
        what = walk.choice(["access token", "all tokens", "consent", "a consent", "nothing"])
        match what:
            case "access token":
                controls.revoke_tokens(caller.username, "access")
            case "all tokens":
                controls.revoke_tokens(caller.username)
            case "consent":
                controls.revoke_consent(caller.username)
            case "a consent":
                scopes = [scope for scope in world.deployment.tokens.consented(caller.user) if "data_access" in scope]
                scope = walk.choice(scopes).partition("[")[2].rstrip("]") if scopes else None
                controls.revoke_consent(caller.username, scope=scope)
        self.did[f"lost {what}"] += 1

    def _wish(self, world: World, caller: Caller, job: Job, word: str) -> None:
        with contextlib.suppress(Conflict):  # too late for that
            getattr(world.house.manage, word)(caller, job.ref.number)
            self.did[word] += 1


@dataclass
class Verdict:
    """None lost, none twice, every output as its input calls for, every story whole."""

    world: World
    seed: int

    def pronounce(self) -> dict[str, object]:
        jobs = {job.ref: job for job in self.world.house.committed()}
        delivered = self.world.delivered()
        self._every_job_ended(jobs)
        self._every_byte_is_right(jobs, delivered)
        written = self._nothing_was_written_twice()
        return {
            "ends": dict(Counter(job.state.value for job in jobs.values())),
            "tasks": len(self.world.globus.world.tasks.all()),
            "files_written": written,
            "bytes_compared": sum(map(len, delivered.values())),
        }

    def _demand(self, holds: bool, words: str) -> None:
        assert holds, f"seed {self.seed}: {words}"

    def _every_job_ended(self, jobs: dict[JobRef, Job]) -> None:
        house = self.world.house
        self._demand(set(jobs) == set(self.world.inputs), "jobs are lost")
        for ref, job in jobs.items():
            told = ", ".join(f"{mark.at:%H:%M} {mark.code}" for mark in job.trail)
            ended = job.state is State.COMPLETED or (job.state is State.CANCELED and job.cancel_requested)
            self._demand(ended, f"{ref} is {job.state} {job.error}: {told}")
        faults = [fault for job in jobs.values() for fault in faults_of(job)]
        faults += all_story_faults(house.jobs, list(jobs.values()))
        self._demand(not faults, f"{faults[:3]}")
        self._demand(len(house.agent.ran) == len(set(house.agent.ran)), "a job ran twice")
        self._demand(not house.agent.refused, f"reports were refused: {house.agent.refused[:3]}")

    def _every_byte_is_right(self, jobs: dict[JobRef, Job], delivered: dict[str, bytes]) -> None:
        left = dict(delivered)
        for ref, job in jobs.items():
            for path, content in self.world.due(ref).items():
                found = left.pop(path, None)
                # A job that was cancelled while its outputs moved may have left some, whole.
                right = found == content or (found is None and job.state is State.CANCELED)
                self._demand(right, f"{path} of a job that is {job.state} is not what its input calls for")
        self._demand(not left, f"nobody's outputs: {sorted(left)[:3]}")

    def _nothing_was_written_twice(self) -> int:
        """By Globus's own record: one task a submission and a batch, each file written once, no two tasks at a time."""
        tasks = self.world.globus.world.tasks.all()
        self._demand(not any(task.live for task in tasks), "tasks are still under way")
        for name in ("submission_id", "label"):
            self._demand(len({getattr(task, name) for task in tasks}) == len(tasks), f"two tasks of one {name}")
        written = Counter((task.destination, moved.destination_path) for task in tasks for moved in task.moved)
        twice = [path for path, times in written.items() if times > 1]
        self._demand(not twice, f"written twice: {twice[:3]}")
        spans = defaultdict(list)
        for task in tasks:
            for item in task.items:
                spans[task.destination, item.destination_path].append((task.request_time, task.completion_time or 0.0))
        for path, times in spans.items():
            times.sort()
            apart = all(begun >= ended for (_, ended), (begun, _) in pairwise(times))
            self._demand(apart, f"two tasks at a time for {path}")
        return len(written)


def _led_to(globus: GlobusEmulator) -> AbstractContextManager[object]:
    """The SDK finds this emulator and nothing else."""
    return mock.patch.dict(os.environ, globus.environment())


def _progress(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="the seed to run again (default: a fresh one)")
    parser.add_argument("--keep", type=Path, default=None, help="a file for the figures, as JSON")
    asked = parser.parse_args(arguments)
    logging.disable()
    seed = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as data:
        found = Soak(seed=seed, jobs=asked.jobs, users=asked.users, told=_progress).run(Path(data))
    text = json.dumps({**found, "seconds": round(time.monotonic() - began)}, indent=2)
    print(text)
    if asked.keep is not None:
        asked.keep.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
