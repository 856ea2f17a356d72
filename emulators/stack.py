"""All of qstage on one machine: the emulators, the service behind them, a site with its agent, a user signed in.

    with Stack(state, input=Path("in"), output=Path("out")) as stack:
        stack.sign_in()
        stack.register_site()
        stack.start_agent()

This is the one file of ``emulators`` that knows the service's settings and the client. Everything listens on
loopback; everything it starts ends with it.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from emulators.aws.stack import AwsStack
from emulators.clock import FileClock
from emulators.cobalt.settings import Settings as CobaltSettings
from emulators.cobalt.simulator import CobaltSimulator
from emulators.globus.browser import Browser
from emulators.globus.config import (
    LOOPBACK_CALLBACKS,
    Client,
    Collection,
    Config,
    Identity,
    OwnScope,
    Provider,
    Settings,
)
from emulators.globus.emulator import GlobusEmulator
from qstage.client import Client as QstageClient

PROJECT = Path(__file__).resolve().parent.parent
USER = "ada@uni.example"
SITE = "theta"
NODES = 8
FIRST_COBALT_JOB = 1001


class StackFailed(Exception):
    """Something did not come up, or ended by itself; the message names it and its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A signed-in user: who it is, and a client with their key."""

    username: str
    key: str
    client: QstageClient


class Stack:
    """The parts in the order of their start. ``input`` is what lies on ``lab``, ``output`` what ``archive`` is.

    ``world`` changes what Globus consists of: other identities, other demands of the collections.
    """

    def __init__(
        self,
        state: Path,
        *,
        input: Path,
        output: Path,
        port: int = 0,
        globus: Settings | None = None,
        world: Callable[[Config], Config] | None = None,
        dynamodb: str | None = None,
    ) -> None:
        self.state = state
        self.site_directory = state / "theta"
        self.clock = FileClock(state / "clock")
        self._input, self._output = input, output
        self._port = port or _free_port()
        self._globus_settings = globus or Settings(overhead=0.3)
        self._change_world = world
        self._dynamodb = dynamodb
        self._ends = ExitStack()
        self._agent: subprocess.Popen[bytes] | None = None
        self._agent_token: str | None = None
        self.login: Login | None = None

    # -- life

    def start(self) -> Self:
        """Start the emulators and the service; on return the API answers."""
        try:
            self.state.mkdir(parents=True, exist_ok=True)
            self.site_directory.mkdir(exist_ok=True)
            self.clock.path.write_text("0")
            self.globus = self._ends.enter_context(
                GlobusEmulator(self.state / "globus", self._world(), clock=self.clock, control=True)
            )
            self.cobalt = CobaltSimulator(
                self.state / "cobalt",
                clock=self.clock,
                settings=CobaltSettings(
                    nodes=NODES,
                    first_job_id=FIRST_COBALT_JOB,
                    kill_delay=5.0,
                    filters=(str(self._write_filter()),),
                ),
            )
            self._ends.enter_context(self.cobalt)
            self.aws = self._ends.enter_context(self._aws())
            self._ends.callback(self.stop_agent)
            self._keep_secret()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all of it. A second call does nothing."""
        self._ends.pop_all().close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _world(self) -> Config:
        """Ada, and the three collections of a plain job; ``theta`` is the site's file system."""
        plain = Config(
            providers=(
                Provider(name="Emulated University", domains=("uni.example",)),
                Provider(name="Google", domains=("google.com",)),
            ),
            identities=(
                Identity(username=USER, name="Ada Lovelace", organization="Emulated University"),
                Identity(username="bob@google.com", name="Bob Bobson"),
            ),
            clients=(
                Client(name="qstage", redirect_uris=LOOPBACK_CALLBACKS, scopes=(OwnScope(suffix="jobs"),)),
                Client(name="cli"),
                Client(name="notebook", kind="native", redirect_uris=LOOPBACK_CALLBACKS),
            ),
            collections=(
                Collection(name="lab", display_name="Lab Storage", directory=self._input.resolve()),
                Collection(name="theta", display_name="Theta scratch", directory=self.site_directory.resolve()),
                Collection(
                    name="archive", kind="guest", display_name="Group Archive", directory=self._output.resolve()
                ),
            ),
            settings=self._globus_settings,
        )
        return plain if self._change_world is None else self._change_world(plain)

    def _aws(self) -> AwsStack:
        globus = {name: value for name, value in self.globus.environment().items() if name.startswith("GLOBUS_SDK")}
        return AwsStack(
            PROJECT,
            templates=[PROJECT / "infra" / "template.json"],
            state_dir=self.state / "aws",
            clock_file=self.clock.path,
            parameters={
                "BaseUrl": f"http://127.0.0.1:{self._port}/api",
                "GlobusClientId": self.globus.client("qstage").id,
                "GlobusScope": self.scope,
                "AllowedDomains": "",
                "AllowedIdentities": "",
            },
            environment={"*": {**globus, "QSTAGE_CLOCK_FILE": str(self.clock.path)}},
            gateway_port=self._port,
            dynamodb=self._dynamodb,
        )

    def _keep_secret(self) -> None:
        """What an operator does once after the first deployment."""
        client = self.globus.client("qstage")
        content = json.dumps({"client_id": client.id, "client_secret": client.secret})
        secret = self.aws.created.look_up("GlobusClientSecret", None)
        self.aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=content)

    # -- what a user and an operator do

    @property
    def url(self) -> str:
        return self.aws.gateway_url

    @property
    def scope(self) -> str:
        """The scope for which programs of Globus users may show tokens in place of a key."""
        return f"https://auth.globus.org/scopes/{self.globus.client('qstage').id}/jobs"

    @property
    def collections(self) -> Mapping[str, str]:
        """Collection ids by name."""
        return self.globus.collections

    def sign_in(self, username: str = USER) -> Login:
        """Sign in by the device flow, through the real login, consent and approval pages."""
        client = QstageClient(self.url)
        device = client.start_login(
            client="qstage demo",
            host=socket.gethostname(),
            collections=[self.collections["lab"], self.collections["theta"]],
        )
        with Browser() as browser:
            page = browser.sign_in(f"{self.url}/login?device={device.user_code}", username, follow=True)
            browser.press(page, "approve")
        deadline = time.monotonic() + 30
        while (answer := client.poll_login(device.device_code)).grant is None:
            if answer.error not in ("authorization_pending", "slow_down") or time.monotonic() > deadline:
                raise StackFailed(f"the login of {username} was not granted: {answer.error}")
            time.sleep(device.interval)
        key = answer.grant.key.reveal()
        self.login = Login(username=answer.grant.username, key=key, client=QstageClient(self.url, key))
        return self.login

    def register_site(self) -> None:
        """Register the simulated machine, as its operator would with ``qstage site create``."""
        assert self.login is not None, "sign in first"
        directory = str(self.site_directory.resolve())
        made = self.login.client.create_site(
            {
                "id": SITE,
                "title": "Theta (simulated)",
                "scheduler": "cobalt",
                "mappings": [{"collection": self.collections["theta"], "path": "/", "directory": directory}],
                "defaults": {"queue_name": "default"},
            }
        )
        assert made.agent_token is not None, "a site that was just made has a token"
        self._agent_token = made.agent_token.reveal()

    def start_agent(self) -> None:
        """Run the agent as its operator would: a process on the login node, with its own policy file."""
        folder = self.state / "agent"
        folder.mkdir(exist_ok=True)
        token = folder / "theta.token"
        token.touch(mode=0o600)
        token.write_text(self._agent_token or "")
        config = folder / "agent.toml"
        config.write_text(_agent_config(self.url, folder, self.cobalt.bin, self.site_directory.resolve()))
        command = [sys.executable, "-m", "qstage.cli", "agent", "run", "--site", SITE, "--config", str(config)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        with self.agent_log.open("ab") as log:
            self._agent = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _write_filter(self) -> Path:
        """Write what a Cobalt's administrator installs: the submit filter that knows ``#QSTAGE`` lines."""
        program = self.state / "qstage-filter"
        program.write_text(_FILTER.format(python=shlex.quote(sys.executable), project=shlex.quote(str(PROJECT))))
        program.chmod(0o755)
        return program.resolve()

    @property
    def agent_log(self) -> Path:
        return self.state / "agent" / "agent.log"

    def check_alive(self) -> None:
        """Raise StackFailed if the agent has ended by itself."""
        if self._agent is not None and self._agent.poll() is not None:
            tail = self.agent_log.read_text(errors="replace")[-2000:]
            raise StackFailed(f"the agent ended with status {self._agent.returncode}; the end of its log:\n{tail}")

    def stop_agent(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the agent's process; nothing happens if there is none."""
        agent, self._agent = self._agent, None
        if agent is None:
            return
        agent.send_signal(how)
        try:
            agent.wait(timeout=2)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


_FILTER = """\
#!/bin/sh
# Only jobs whose script has #QSTAGE lines are qstage's business; the others are not kept waiting.
for word in "$@"; do
    case "$word" in command=*) grep -qs '^#QSTAGE ' "${{word#command=}}" || exit 0 ;; esac
done
PYTHONPATH={project} exec {python} -m qstage.cli cobalt-filter "$@"
"""


def _agent_config(url: str, folder: Path, commands: Path, scratch: Path) -> str:
    return f"""\
service = "{url}"
site = "{SITE}"
token_file = "theta.token"
scheduler = "cobalt"
path = ["{commands}", "/usr/bin", "/bin"]
state = "{folder / "state"}"
poll_seconds = 0.5

[policy]
owners = ["*"]
directories = ["{scratch}"]
accounts = ["*"]
queues = ["default"]
attributes = ["cobalt.adopt"]
max_nodes = {NODES}
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
