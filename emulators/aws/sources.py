"""Ties a queue-fed function to its queue, as Lambda does when an event source mapping is made.

Owns what is settled at that moment: which queue is meant, that the function's own policy lets Lambda poll
it, and how it reports failures. What is fed when is the pump's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulators.aws.errors import StackError
from emulators.aws.gate import Gate
from emulators.aws.hosts import Pool
from emulators.aws.iam import Access
from emulators.aws.project import Function
from emulators.aws.pump import Pump
from emulators.aws.resources import QUEUE, Created

_POLLER_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def make_pump(function: Function, pool: Pool, *, gate: Gate, created: Created, template: Mapping[str, Any]) -> Pump:
    """:raises StackError: for a queue that is not there, or one that the function's policy does not let it
    poll."""
    assert function.queue is not None
    stack, account, region = (created.refs[f"AWS::{name}"] for name in ("StackName", "AccountId", "Region"))
    source = replace(function.queue, queue=_queue_name(function, function.queue.queue, created, stack))
    arn = f"arn:aws:sqs:{region}:{account}:{source.queue}"
    for action in _POLLER_ACTIONS:
        if refused := gate.refuses(function.name, Access(action=action, resource=arn, context={})):
            raise StackError(f"{function.name}: its queue cannot invoke it: {refused}")
    partial = _reports_partial_failures(function, template)
    return Pump(source, pool, account=account, region=region, partial_failures=partial)


def _queue_name(function: Function, said: str, created: Created, stack: str) -> str:
    """The queue meant: by its name, with or without the stack's before it, or by its logical id."""
    for logical_id in created.ids(QUEUE):
        name = created.attributes[logical_id, "QueueName"]
        if said in {logical_id, name, name.removeprefix(f"{stack}-")}:
            return name
    raise StackError(f"{function.name}: the template makes no queue {said}")


def _reports_partial_failures(function: Function, template: Mapping[str, Any]) -> bool:
    """Whether the template asks for it; Chalice cannot."""
    properties = template["Resources"].get(function.logical_id, {}).get("Properties", {})
    events = properties.get("Events", {}).values()
    return any("ReportBatchItemFailures" in one["Properties"].get("FunctionResponseTypes", []) for one in events)
