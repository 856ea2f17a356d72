"""What the agent's tests share: a service that speaks the sync contract, and a login node with real agents on it.

``Service`` is the far side of one call; ``Site`` is a home directory with a configuration and a token, the leases
that the service gives for it, and the agents started there as processes, killed at a chosen step where a test
says so.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOKEN = "qsa_abcdefghijkl_" + "t" * 43
PATIENCE = 60.0
"""Seconds to wait for anything: no promise of speed, for other tests run beside."""
FINAL = {"exited", "rejected", "refused", "gone"}

CRASHING = """
import os, signal, sys
from qstage.agent.journal import Journal
phase, moment = sys.argv.pop(1).split("-")
real = Journal.put
def put(self, held, reports=()):
    if held.phase.value == phase and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, held, reports)
    if held.phase.value == phase and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
Journal.put = put
from qstage.cli import main
main()
"""


class Service:
    """The service's side of one site: leases until reported, records reports, repeats commands until answered."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.commands: dict[str, dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.holding: list[set[str]] = []
        self.instance: str | None = None
        self.former: str | None = None
        self.answers: dict[str, str] = {}
        self.away = False
        self.orders = 0
        self.carried = 0
        self.lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service.lock:
                    status, answer = service.sync(self.path, self.headers.get("Authorization", ""), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sync(self, path: str, authorization: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.away:
            return 503, {"detail": "away"}
        if path != "/api/v1/sites/theta/sync" or authorization != f"Bearer {TOKEN}":
            return 401, {"detail": "who are you"}
        if self.instance is None and body["agent"]["instance"] != self.former:
            self.instance = body["agent"]["instance"]
        if body["agent"]["instance"] != self.instance:
            return 409, {"type": "urn:qstage:agent-busy", "detail": "an agent on here serves this site"}
        answers = []
        for report in body["reports"]:
            result = self.answers.get(report["event"], "recorded")
            answers.append({"job": report["job"], "event": report["event"], "result": result})
            self.reports.append(report)
            if report["event"] in {"held_ahead", "queued", *FINAL}:
                self.leases.pop(report["job"], None)
            if report["event"] in {"exited", "cleaned", "refused", "gone"} or report.get("order") == self.orders:
                self.commands.pop(report["job"], None)
        self.holding.append({held["job"] for held in body["holding"]})
        leases = [lease for job, lease in self.leases.items() if job not in self.holding[-1]]
        self.carried += bool(answers or leases)
        return 200, {
            "answers": answers,
            "leases": leases[: body["take"]],
            "commands": list(self.commands.values()),
            "next_seconds": 0.2,
        }

    def change_hands(self) -> None:
        """The agent that has the site loses it for good, and all that it held: another one that calls gets it."""
        with self.lock:
            self.former = self.instance
            self.instance = None

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()

    def events(self, job: str) -> list[str]:
        with self.lock:
            return [report["event"] for report in self.reports if report["job"] == job]

    def last(self, job: str) -> dict[str, Any]:
        with self.lock:
            return [report for report in self.reports if report["job"] == job][-1]


class Site:
    """A login node: a configuration, a directory for jobs, and the agents started on it."""

    def __init__(self, home: Path, service: Service, scheduler: str = "local", path: str = "/usr/bin:/bin") -> None:
        self.home, self.service = home, service
        self.jobs = home / "jobs"
        self.jobs.mkdir()
        (home / "shared").mkdir()
        token = home / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self.config = home / "agent.toml"
        self.config.write_text(
            f"""
service = "{service.url}"
token_file = "token"
scheduler = "{scheduler}"
path = {json.dumps(path.split(":"))}
state = "{home / "state"}"
poll_seconds = 0.25
grace_seconds = 1.0
[policy]
owners = ["ada@uni.example"]
directories = ["{self.jobs}"]
queues = ["debug"]
max_nodes = 4
roots = ["{home / "shared"}"]
"""
        )
        self.config.chmod(0o600)
        self.environment: dict[str, str] = {}
        """More variables of the agents' own."""
        self.agents: list[subprocess.Popen[str]] = []

    def lease(self, number: int, script: str, **changes: Any) -> str:
        job = f"user/{number}"
        lease = {
            "job": job,
            "id": number,
            "epoch": 1,
            "leased_until": "2026-11-22T17:00:00Z",
            "owner": {"id": "u-1", "username": "ada@uni.example"},
            "tag": "k3j2",
            "name": "md",
            "directory": f"{self.jobs}/k3j2/md-{number}",
            "executable": "run.sh",
            "arguments": [],
            "environment": {},
            "files": [{"path": "run.sh", "content": script, "mode": "0755"}],
            "links": [],
            "staged_modes": [],
            "resources": {"node_count": 1},
            "attributes": {"duration": 600},
            "outputs": [{"item": 0, "source": "results/", "when": ["always"], "symlinks": "fail"}],
        }
        with self.service.lock:
            self.service.leases[job] = lease | changes
        return job

    def order(self, number: int, command: str, **fields: Any) -> None:
        """Let the service command something of a job, again and again until it is answered."""
        job = f"user/{number}"
        with self.service.lock:
            self.service.orders += 1
            self.service.commands[job] = {
                "job": job, "id": number, "epoch": 1, "command": command, "native_id": None,
                "directory": str(self.directory(number)), "paths": None, "order": self.service.orders, **fields,
            }  # fmt: skip

    def directory(self, number: int) -> Path:
        return self.jobs / "k3j2" / f"md-{number}"

    def start(self, *flags: str, crash: str | None = None) -> subprocess.Popen[str]:
        python = [sys.executable, "-c", CRASHING, crash] if crash else [sys.executable, "-m", "qstage.cli"]
        command = [*python, "agent", "run", "--site", "theta", "--config", str(self.config), *flags]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "QSTAGE_KEY": "qsk_secret", "SECRET": "no"}
        environment |= {"PYTHONPATH": str(ROOT), **self.environment}
        agent = subprocess.Popen(
            command, env=environment, cwd=self.home, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.agents.append(agent)
        return agent

    def second_home(self) -> Site:
        """The same site seen from another login node: a journal and a lock of its own."""
        other = copy.copy(self)
        other.config = self.home / "second.toml"
        other.config.write_text(
            self.config.read_text().replace(f'"{self.home / "state"}"', f'"{self.home / "state2"}"')
        )
        other.config.chmod(0o600)
        other.agents = []
        return other

    def close(self) -> None:
        """End its agents."""
        self.stop()

    def stop(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.terminate()
        for agent in self.agents:
            try:
                agent.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                agent.kill()
                agent.communicate()


def until(done: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.05)


def ends(site: Site, job: str, seconds: float = PATIENCE) -> dict[str, Any]:
    until(lambda: FINAL & set(site.service.events(job)), f"{job} ends", seconds)
    return next(report for report in site.service.reports if report["job"] == job and report["event"] in FINAL)
