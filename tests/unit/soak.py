"""``make soak``: many jobs of many users through bad weather, and whether every one ends as it should.

A tenth of the calls to Globus fail, before or after their effect, by 429, 503, a reset or a cut answer; rings get
lost or come twice; tokens are refused and consents withdrawn until their user signs in; users hold, release and
cancel jobs at random. The loop is the service's own over memory with lagging indexes; Globus, the scheduler and the
sign-in are the tests' twins, which keep each file's size under its path. Everything follows from the seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from loop_house import ARCHIVE, LAB, THETA, House, a_caller, a_document, a_site

from chalicelib.core.errors import Conflict, FarSide
from chalicelib.core.ids import JobNumber, JobRef, UserId
from chalicelib.core.job import State
from chalicelib.core.keys import Caller

FAILING = 0.10
LOST, DOUBLED = 0.2, 0.2
WAVES, TROUBLED_MINUTES, LONGEST = 20, 60, 3000


@dataclass
class Weather:
    """Fails calls by the seed until it is calm; ``met`` counts what it did."""

    walk: random.Random
    calm: bool = False
    met: Counter[str] = field(default_factory=Counter)

    def __call__(self, call: str, moment: str) -> None:
        if self.calm or not call.startswith("globus.") or self.walk.random() >= FAILING / 2:
            return
        kind = self.walk.choice(["429", "503", "reset", "cut answer"])
        self.met[f"{kind} {moment} the effect"] += 1
        wait = 5.0 if kind == "429" else None
        status = {"429": 429, "503": 503}.get(kind)
        raise FarSide("transfer", kind, "Globus is not well.", transient=True, status=status, retry_after=wait)


@dataclass
class Soak:
    """One soak: ``jobs`` of ``users`` users."""

    seed: int
    jobs: int
    users: int

    def run(self) -> dict[str, object]:
        """Run it to its end and check it; returns the figures."""
        walk = random.Random(self.seed)
        weather = Weather(walk)
        house = House(lag=3)
        house.agent.take = 100
        callers = [
            a_caller(UserId(f"{n:08x}-1111-4111-8111-111111111111"), "bob@uni.example") for n in range(self.users)
        ]
        wanted: dict[JobRef, str] = {}
        house.gate = weather
        minutes = self._live(house, callers, walk, weather, wanted)
        ends = self._check(house, wanted)
        return {
            "seed": self.seed,
            "jobs": self.jobs,
            "minutes": minutes,
            "ends": dict(ends),
            "met": dict(weather.met),
            "tasks": len(house.globus.tasks),
        }

    def _post(self, house: House, callers: list[Caller], wave: int) -> dict[JobRef, str]:
        """One of the waves of POSTs: a file of its own size for each job, and where it lies."""
        wanted = {}
        each = self.jobs // len(callers)
        for caller in callers:
            numbers = range(each * wave // WAVES, each * (wave + 1) // WAVES)
            sources = [f"/soak/{caller.user[:8]}/{'x' * (n % 40)}{n}" for n in numbers]
            if not sources:
                continue
            house.globus.put(LAB, *sources)
            out = [{"source": "results/", "target": f"globus://{ARCHIVE}/soak/{caller.user[:8]}/{{id}}/"}]
            taken = house.post(*(a_document(source=source, stage_out=out) for source in sources), caller=caller)
            wanted.update({JobRef(user=caller.user, number=n): s for n, s in zip(taken, sources, strict=True)})
        return wanted

    def _live(
        self,
        house: House,
        callers: list[Caller],
        walk: random.Random,
        weather: Weather,
        wanted: dict[JobRef, str],
    ) -> int:
        coming: list[UserId] = []
        for minute in range(LONGEST):
            weather.calm = minute > TROUBLED_MINUTES * 3
            if minute < WAVES:
                wanted |= self._post(house, callers, minute)
            house.clock.turn(minutes=1)
            house.rows.catch_up()
            house.sweep.run()
            coming += [user for user, _ in house.rung.take()]
            coming, rung = [], coming
            for user in rung:
                if not weather.calm and walk.random() < LOST:
                    continue
                times = 2 if walk.random() < DOUBLED else 1
                for _ in range(times):
                    house.reconciler.wake(user, house.time_left)
            house.agent.work(1)
            self._meddle(house, callers, walk, troubled=minute < TROUBLED_MINUTES)
            if minute >= WAVES and not house.agent.held and all(job.state.final for job in house.committed()):
                return minute
        raise AssertionError(f"seed {self.seed}: jobs do not end")

    def _meddle(self, house: House, callers: list[Caller], walk: random.Random, *, troubled: bool) -> None:
        """What users do, and what is done to them."""
        if troubled and walk.random() < 0.1:
            house.access.refused = True
        if troubled and walk.random() < 0.1:
            house.globus.without_consent = {walk.choice([LAB, ARCHIVE])}
        for caller in callers:
            desk = house.rows.desks[caller.user]
            if desk.plan.need is not None and (not troubled or walk.random() < 0.3):
                house.globus.without_consent = set()
                house.sign_in(caller)
            if not troubled:
                house.access.refused = False
                house.globus.without_consent = set()
        live = [job for job in house.committed() if not job.state.final]
        for job in walk.sample(live, min(len(live), 3 if troubled else 0)):
            caller = next(each for each in callers if each.user == job.ref.user)
            wish = walk.choice([house.manage.cancel, house.manage.hold])
            try:
                wish(caller, JobNumber(job.ref.number))
            except Conflict:
                continue  # too late for that
        for job in [job for job in live if job.hold is not None and (not troubled or walk.random() < 0.2)]:
            caller = next(each for each in callers if each.user == job.ref.user)
            try:
                house.manage.release(caller, JobNumber(job.ref.number))
            except Conflict:
                continue

    def _check(self, house: House, wanted: dict[JobRef, str]) -> Counter[str]:
        """None lost, none twice, every result whole."""
        jobs = {job.ref: job for job in house.committed()}
        assert set(jobs) == set(wanted), f"seed {self.seed}: jobs are lost"
        assert house.faults() == [], f"seed {self.seed}: {house.faults()[:3]}"
        assert len(house.agent.ran) == len(set(house.agent.ran)), f"seed {self.seed}: a job ran twice"
        canceled = {ref for ref, job in jobs.items() if job.cancel_requested}
        for ref, job in jobs.items():
            assert job.state is State.COMPLETED or ref in canceled, (
                f"seed {self.seed}: {ref} is {job.state} {job.error}"
            )
            if job.state is State.COMPLETED:
                home = a_site(THETA, ref.user).job_place(ref.user, job.directory_name())
                there, sent = house.globus.files[home.collection], house.globus.files[ARCHIVE]
                arrived = there[f"{home.path}inputs/{wanted[ref].rpartition('/')[2]}"]
                assert arrived == len(wanted[ref]), f"seed {self.seed}: the input of {ref} is not whole"
                for name in ("r1", "r2"):
                    left = there[f"{home.path}results/{name}"]
                    assert sent[f"/soak/{ref.user[:8]}/{ref.number}/{name}"] == left, (
                        f"seed {self.seed}: {ref}'s output"
                    )
        return Counter(job.state.value for job in jobs.values())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="the seed to run again (default: a fresh one)")
    asked = parser.parse_args(arguments)
    logging.disable()
    seed = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    found = Soak(seed=seed, jobs=asked.jobs, users=asked.users).run()
    print(json.dumps({**found, "seconds": round(time.monotonic() - began, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
