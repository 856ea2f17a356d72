"""Serve AWS for one Chalice project from the command line, until Ctrl-C or SIGTERM.

    python -m emulators.aws serve --project . --template infra/template.json --state .state/aws

Prints the addresses; the administrator's keys go to STATE/stack.json, readable by its owner only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.errors import StackError
from emulators.aws.stack import AwsStack


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulators.aws", description="AWS on one machine")
    serve = parser.add_subparsers(dest="command", required=True).add_parser("serve", help="serve until Ctrl-C")
    serve.add_argument("--template", type=Path, action="append", required=True, help="may be given again")
    serve.add_argument("--project", type=Path, help="the directory of app.py; without it, the endpoint alone")
    serve.add_argument("--state", type=Path, required=True, help="a directory for logs and addresses")
    serve.add_argument("--clock", type=Path, help="the file of the shared clock's offset")
    serve.add_argument("--environment", type=Path, help='JSON: {"function or *": {"NAME": "value"}}')
    serve.add_argument(
        "--policies", type=Path, help="a directory that holds FUNCTION.json for functions not as config.json says"
    )
    serve.add_argument("--stage", default="prod", help="Chalice's stage (default: %(default)s)")
    serve.add_argument("--gateway-stage", help="the REST API's path prefix (default: as config.json says)")
    serve.add_argument("--port", type=int, default=0, help="of the AWS endpoint (default: a free one)")
    serve.add_argument("--gateway-port", type=int, default=0, help="of the REST API (default: a free one)")
    serve.add_argument("--api-hosts", type=int, default=2, help="processes behind the API (default: %(default)s)")
    serve.add_argument("--dynamodb", choices=("moto", "local"), default="moto", help="what keeps the tables")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as ends:
        local = ends.enter_context(DynamoDBLocal()) if options.dynamodb == "local" else None
        stack = AwsStack(
            options.project,
            templates=options.template,
            state_dir=options.state,
            clock_file=options.clock,
            environment=json.loads(options.environment.read_text()) if options.environment else None,
            policies={path.stem: path for path in options.policies.glob("*.json")} if options.policies else None,
            stage=options.stage,
            gateway_stage=options.gateway_stage,
            api_hosts=options.api_hosts,
            port=options.port,
            gateway_port=options.gateway_port,
            dynamodb=local.url if local else None,
        )
        try:
            ends.enter_context(stack)
        except StackError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        _publish(stack, options.state / "stack.json", with_gateway=options.project is not None)
        ended.wait()
    return 0


def _publish(stack: AwsStack, path: Path, *, with_gateway: bool) -> None:
    addresses = {"endpoint_url": stack.endpoint_url}
    if with_gateway and stack.has_api:
        addresses["gateway_url"] = stack.gateway_url
    for name, url in addresses.items():
        print(f"{name} {url}", flush=True)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({**addresses, "admin": stack.admin_environment()}, file)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
