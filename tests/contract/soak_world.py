"""The world of a soak: many users with tokens of their own, one Globus with real files, one site whose jobs compute.

Each job's input is random content under a path of its own; what its run leaves is computed from the input that
arrived at the site, so that an output tells whose it is and whether its input was whole.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployment import CALLBACK, Deployment
from loop_house import ADA, ARCHIVE, LAB, SCRATCH, THETA, AgentTwin, House, a_caller, a_site
from shared_clock import SharedClock
from soak_weather import TIMEOUT

from chalicelib.adapters.globus_transfer import GlobusTransfer
from chalicelib.core.errors import QstageError
from chalicelib.core.ids import JobRef, UserId
from chalicelib.core.keys import Caller
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Client, Collection, Config, Identity, Settings

COLLECTIONS = (
    Collection(name="lab", id=LAB),
    Collection(name="archive", id=ARCHIVE),
    Collection(name="scratch", id=SCRATCH),
)
LARGEST = 4000
"""Bytes of an input file."""


def people(count: int) -> list[Caller]:
    return [a_caller(UserId(f"{n:08x}-1111-4111-8111-111111111111"), f"u{n}@uni.example") for n in range(count)]


def a_world(callers: list[Caller]) -> Config:
    """Tokens that last an hour, tasks that take some seconds, limits as Globus has them."""
    return Config(
        identities=tuple(Identity(username=each.username, id=each.user) for each in callers),
        clients=(Client(name="qstage", redirect_uris=(CALLBACK,)), Client(name="cli")),
        collections=COLLECTIONS,
        settings=Settings(overhead=5.0, bandwidth=1e6, retry_interval=5.0, access_token_lifetime=3600),
    )


def computed(content: bytes, number: int) -> dict[str, bytes]:
    """What a job leaves in its results, by name."""
    return {"r1": content[::-1] + f" of job {number}".encode(), "r2": hashlib.sha256(content).hexdigest().encode()}


class ComputingAgent(AgentTwin):
    """A site's agent whose jobs read what was staged for them."""

    def __init__(self, house: House, scratch: Path) -> None:
        super().__init__(house)
        self.scratch = scratch
        self.take = 100

    def _outputs(self, lease: Any) -> list[dict[str, Any]]:
        ref = lease.job.ref
        home = self.scratch / a_site(THETA, ADA.user).job_place(ref.user, lease.job.directory_name()).path.lstrip("/")
        read = b"".join(path.read_bytes() for path in sorted((home / "inputs").iterdir()))
        results = computed(read, ref.number)
        (home / "results").mkdir(parents=True)
        for name, content in results.items():
            (home / "results" / name).write_bytes(content)
        size = sum(map(len, results.values()))
        return [{"item": 0, "kind": "directory", "files": len(results), "bytes": size}]


@dataclass
class World:
    """A house on the emulator, its users signed in. ``inputs`` is what each job was to read."""

    globus: GlobusEmulator
    callers: list[Caller]
    walk: random.Random

    def __post_init__(self) -> None:
        clock = self.globus.clock
        assert isinstance(clock, TurnedClock)
        self.inputs: dict[JobRef, bytes] = {}
        self.browsers: dict[UserId, Browser] = {}
        self.deployment = Deployment(self.globus, clock)
        self.house = House(
            lag=3,
            clock=SharedClock(turned=clock, globus=self.globus),
            transfer=GlobusTransfer(timeout=TIMEOUT),
            tokens=self.deployment.tokens,
        )
        self.house.agent = ComputingAgent(self.house, self.globus.directory("scratch"))
        (site,) = self.house.sites.list()
        users = frozenset(each.username for each in self.callers)
        assert self.house.sites.change(replace(site, users=users), was=site)
        for caller in self.callers:
            assert self.sign_in(caller), f"{caller.username} cannot sign in"

    def sign_in(self, caller: Caller) -> bool:
        """Through the real pages; False if Globus was not well."""
        browser = self.browsers.setdefault(caller.user, Browser())
        try:
            self.deployment.login(browser, "lab", "archive", "scratch", who=caller.username)
        except QstageError:
            return False
        self.house.waking.user_signed_in(caller.user)
        return True

    def post(self, caller: Caller, names: range) -> None:
        """As many jobs as there are names; some have two input files."""
        documents, contents = [], []
        for name in names:
            where = f"soak/{caller.user[:8]}/{name}"
            files = [self.walk.randbytes(self.walk.randint(1, LARGEST)) for _ in range(1 + (name % 10 == 0))]
            for index, content in enumerate(files):
                path = self.globus.directory("lab") / where / f"in{index}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            source = f"/{where}/" if len(files) > 1 else f"/{where}/in0"
            documents.append(_a_document(caller, source))
            contents.append(b"".join(files))
        numbers = self.house.post(*documents, caller=caller)
        self.inputs.update(
            {JobRef(user=caller.user, number=n): each for n, each in zip(numbers, contents, strict=True)}
        )

    def delivered(self) -> dict[str, bytes]:
        """Everything in the archive, by its path."""
        archive = self.globus.directory("archive")
        return {str(path.relative_to(archive)): path.read_bytes() for path in archive.rglob("*") if path.is_file()}

    def due(self, ref: JobRef) -> dict[str, bytes]:
        """What is to be in the archive of a completed job."""
        results = computed(self.inputs[ref], ref.number)
        return {f"{place(ref)}{name}": content for name, content in results.items()}

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()


def place(ref: JobRef) -> str:
    return f"soak/{ref.user[:8]}/{ref.number}/"


def _a_document(caller: Caller, source: str) -> dict[str, Any]:
    return {
        "name": "soak",
        "site": THETA,
        "executable": "/bin/true",
        "stage_in": [{"source": f"globus://{LAB}{source}", "target": "inputs/"}],
        "stage_out": [{"source": "results/", "target": f"globus://{ARCHIVE}/soak/{caller.user[:8]}/{{id}}/"}],
    }
