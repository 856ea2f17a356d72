"""One object that is AWS for one Chalice project on one machine.

Owns the order in which the parts start and end, and what each function is told: its own keys, the endpoint,
and the settings that the template gives it. The parts are the endpoint (`front`, `gate`), the hosts
(`hosts`), and what invokes them (`gateway`, `pump`, `scheduler`). One stack at a time in a process, because
moto is one in a process.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moto.backends import get_backend

from emulators.aws.directory import StackDirectory
from emulators.aws.errors import StackError
from emulators.aws.front import Front, Observer
from emulators.aws.gate import ADMIN, Gate
from emulators.aws.gateway import Gateway, open_door
from emulators.aws.hosts import Outcome, Pool
from emulators.aws.iam import Policy, parse_policy
from emulators.aws.locked import tamed
from emulators.aws.project import API_FUNCTION, Function, Project, read_gateway_stage, read_project
from emulators.aws.pump import Pump
from emulators.aws.resources import Created, create_resources
from emulators.aws.scheduler import Scheduler
from emulators.aws.settings import FunctionSettings, aws_variables, function_variables
from emulators.aws.sources import make_pump
from emulators.aws.template import join_templates, read_template, substitute_all
from emulators.aws.web import Server
from emulators.clock import Clock, FileClock, SystemClock

__all__ = ["AwsStack", "StackError"]

_SERVICES = ("dynamodb", "kms", "sqs", "sns", "secretsmanager", "iam", "sts")
_one_at_a_time = threading.Lock()


class AwsStack:
    """AWS for ``project``, between start() and stop().

    ``environment`` maps a function's name, or ``*`` for all, to variables; they go before what the template
    gives it, and may hold ``${LogicalId}``, ``${LogicalId.Attribute}`` and ``${Gateway.Url}``, the REST
    API's own address. Values of ``parameters``, the template's, may hold the last. ``policies`` maps a
    function's name to a policy file other than the one `.chalice/config.json` names; ``secrets`` a secret's
    logical id to its value. ``hosts`` is how many processes a function may have: by default ``api_hosts``
    for the REST API, up to 2 for a queue, 1 for the rest. ``dynamodb`` is the address of a DynamoDB Local
    to use for the tables instead of moto. ``gateway_stage`` is the REST API's path prefix, by default as
    `.chalice/config.json` says. Without a project there is the endpoint alone.
    """

    def __init__(
        self,
        project: Path | None,
        *,
        templates: Sequence[Path],
        state_dir: Path,
        clock_file: Path | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        policies: Mapping[str, Path] | None = None,
        parameters: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        stack_name: str = "local",
        stage: str = "prod",
        gateway_stage: str | None = None,
        api_hosts: int = 2,
        hosts: Mapping[str, int] | None = None,
        port: int = 0,
        gateway_port: int = 0,
        account: str = "123456789012",
        region: str = "us-east-1",
        dynamodb: str | None = None,
    ) -> None:
        self._directory = project.resolve() if project is not None else None
        self._template = join_templates([read_template(path) for path in templates])
        self.state_dir = state_dir
        self.clock: Clock = FileClock(clock_file) if clock_file is not None else SystemClock()
        self._environment, self._policies = environment or {}, policies or {}
        self._parameters, self._dynamodb = parameters or {}, dynamodb
        self._secrets, self._stack_name = secrets or {}, stack_name
        self._stage, self._gateway_stage = stage, gateway_stage
        self._sizes = {API_FUNCTION: api_hosts, **(hosts or {})}
        self._port, self._gateway_port = port, gateway_port
        self.account, self.region = account, region
        self._ends = ExitStack()
        self._pumps: list[Pump] = []
        self._pools: dict[str, Pool] = {}
        self._told: dict[str, dict[str, str]] = {}
        self._door: Server | None = None
        self._scheduler: Scheduler | None = None
        self.created = Created()
        self.project: Project | None = None

    # -- life

    def start(self) -> Self:
        """Start everything; return when every function has imported.

        :raises StackError: for what a deployment would refuse too; nothing is left running.
        """
        if not _one_at_a_time.acquire(blocking=False):
            raise StackError("another stack runs in this process")
        self._ends.callback(_one_at_a_time.release)
        try:
            if self._directory is not None:
                self._open_door(self._directory)
            self._start_endpoint()
            if self._directory is not None:
                self._start_project(self._directory)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything that was started, within two seconds. A second call does nothing."""
        self._ends.pop_all().close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open_door(self, directory: Path) -> None:
        self._gateway_stage = self._gateway_stage or read_gateway_stage(directory, stage=self._stage)
        self._door = open_door(self._gateway_port)
        self._ends.callback(self._door.stop)

    def _start_endpoint(self) -> None:
        (self.state_dir / "logs").mkdir(parents=True, exist_ok=True)
        self._ends.enter_context(tamed(self.clock))
        for service in _SERVICES:
            get_backend(service).reset()  # type: ignore[call-overload]
        self._known = StackDirectory(account=self.account, region=self.region)
        self._gate = Gate(self._known)
        self._front = Front(self._gate, account=self.account, port=self._port, dynamodb=self._dynamodb)
        self._front.server.start()
        self._ends.callback(self._front.stop)
        self.created = create_resources(
            self._template,
            self.client,
            account=self.account,
            region=self.region,
            stack=self._stack_name,
            parameters=substitute_all(self._parameters, self._look_up, where="parameters"),
        )
        for name, value in self._secrets.items():
            secret = self.created.refs[name]
            self.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=value)
        self._known.learn_tables(self.client("dynamodb"))

    def _start_project(self, directory: Path) -> None:
        settings = FunctionSettings(self._template, self._environment, self._look_up)
        self.project = project = read_project(directory, stage=self._stage, environment=settings.for_import())
        for function in project.functions.values():
            self._admit(function)
        for function in project.functions.values():
            self._pools[function.name] = self._pool(directory, function, settings.of(function))
        self._front.invoker = self
        self._ends.callback(self._stop_pools)
        for name, pool in self._pools.items():
            pool.warm(self._sizes.get(name, 1))
        for name, pool in self._pools.items():
            if broken := pool.await_ready():
                raise StackError(f"{name} does not import: {json.dumps(broken.payload)}")
        self._start_sources(project)

    def _start_sources(self, project: Project) -> None:
        for function in project.functions.values():
            if function.queue is not None:
                self._pumps.append(
                    make_pump(
                        function,
                        self._pools[function.name],
                        gate=self._gate,
                        created=self.created,
                        template=self._template,
                    )
                )
        self._front.observers.append(self._on_call)
        for pump in self._pumps:
            pump.start()
            self._ends.callback(pump.stop)
        expressions = {f.name: f.schedule for f in project.functions.values() if f.schedule is not None}
        self._scheduler = Scheduler(expressions, self._pools, self.clock, account=self.account, region=self.region)
        self._scheduler.start()
        self._ends.callback(self._scheduler.stop)
        if API_FUNCTION in self._pools:
            assert self._door is not None
            assert self._gateway_stage is not None
            Gateway(self._door, project, self._pools[API_FUNCTION], self.clock, stage=self._gateway_stage)
            self._door.start()
            self._ends.callback(self._door.stop)  # the first to go

    def _stop_pools(self) -> None:
        for pool in self._pools.values():
            pool.stop()

    # -- parts

    def _look_up(self, name: str, attribute: str | None) -> str:
        if (name, attribute) == ("Gateway", "Url"):
            return self.gateway_url
        for function in self.project.functions.values() if self.project else ():
            if function.logical_id == name:
                arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{function.name}"
                return {None: function.name, "Arn": arn}[attribute]
        return self.created.look_up(name, attribute)

    def _admit(self, function: Function) -> None:
        path = self._policies.get(function.name, function.policy_file)
        if not path.exists():
            raise StackError(f"{function.name}: no policy file {path}")
        document = substitute_all(json.loads(path.read_text()), self._look_up, where=path.name)
        self._gate.admit(function.name, parse_policy(document, name=path.name))

    def _pool(self, directory: Path, function: Function, variables: Mapping[str, str]) -> Pool:
        size = self._sizes.get(function.name)
        if size is None:
            size = min(2, function.queue.maximum_concurrency or 2) if function.queue else 1
        self._told[function.name] = {
            **function_variables(function.name, account=self.account),
            **self._aws_variables(function.name),
            **variables,
        }
        return Pool(
            function.name,
            handler=function.handler,
            project=directory,
            environment=self._told[function.name],
            timeout=function.timeout,
            size=size,
            log=self.log_file(function.name),
        )

    def _on_call(self, seen: Any) -> None:
        if seen.status == 200 and seen.call.service == "sqs":
            self._wake_pumps()

    def _wake_pumps(self) -> None:
        for pump in self._pumps:
            pump.wake()

    # -- addresses

    @property
    def endpoint_url(self) -> str:
        """Where boto3 clients go: the value of AWS_ENDPOINT_URL."""
        return self._front.server.url

    @property
    def has_api(self) -> bool:
        return API_FUNCTION in self._pools

    @property
    def gateway_url(self) -> str:
        """The REST API's address with its stage, without a slash at the end."""
        if self._door is None:
            raise StackError("without a project there is no REST API")
        return f"{self._door.url}/{self._gateway_stage}"

    def _aws_variables(self, caller: str) -> dict[str, str]:
        return aws_variables(self._gate.keys[caller], region=self.region, endpoint_url=self.endpoint_url)

    def admin_environment(self) -> dict[str, str]:
        """Variables that make a boto3 client of another process the stack's administrator."""
        return self._aws_variables(ADMIN)

    def function_environment(self, function: str) -> dict[str, str]:
        """Everything a function's process is told, its own keys among it."""
        return dict(self._told[function])

    def client(self, service: str, function: str = ADMIN) -> Any:
        """A low-level boto3 client with the administrator's keys, or a function's."""
        import boto3
        from botocore.config import Config

        keys = self._gate.keys[function]
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )

    # -- what tests and operators do

    def invoke_by_name(self, name: str, payload: bytes, *, wait: bool) -> tuple[bytes, bool] | None:
        """Lambda's Invoke; see `front.Invoker`."""
        pool = self._pools.get(name)
        if pool is None:
            return None
        event = json.loads(payload)
        if not wait:
            threading.Thread(target=pool.run, args=(event,), daemon=True).start()
            return b"", False
        outcome = pool.run(event)
        if outcome is None:
            return b'{"errorMessage": "the stack has stopped"}', True
        return json.dumps(outcome.payload).encode(), outcome.failed

    def fire(self, schedule: str) -> Outcome | None:
        """Run a scheduled function's event now, whatever the clock says, and wait for what it comes to."""
        assert self._scheduler is not None
        return self._scheduler.fire(schedule)

    def kill(self, function: str, *, within: float | None = None) -> int:
        """SIGKILL a function's hosts; new ones take their place. Returns how many were struck.

        With ``within`` only hosts that run an event, waiting up to that many seconds for one.
        """
        return self._pools[function].strike(within=within)

    def admit(self, caller: str, policy: Policy) -> None:
        """Give a caller beside the functions keys for client(), or put another policy in place of its own."""
        self._gate.admit(caller, policy)

    def observe(self, observer: Observer) -> None:
        """Call ``observer`` before and after each request of a function to AWS, in that request's own
        thread."""
        self._front.observers.append(observer)

    def idle(self) -> bool:
        """Whether no function runs an event now."""
        return not any(pool.busy() for pool in self._pools.values())

    def log_file(self, function: str) -> Path:
        return self.state_dir / "logs" / f"{function}.log"

    def logs(self, function: str) -> str:
        """All a function has written so far."""
        path = self.log_file(function)
        return path.read_text(errors="replace") if path.exists() else ""
