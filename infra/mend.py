"""Says in a packaged template what Chalice cannot say. Pure: template in, template out.

Chalice 1.34 names a queue by a composed ARN string, which CloudFormation does not see as a dependency;
takes policy files word for word, with their `${...}` unread; turns X-Ray on for functions but not for the
API; and would deep-merge a partial function that the app does not have into a resource of no type. Each is
mended or refused here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from emulators.aws.template import needs_sub

FUNCTION, API, QUEUE, ROLE = "AWS::Serverless::Function", "AWS::Serverless::Api", "AWS::SQS::Queue", "AWS::IAM::Role"


class MendError(ValueError):
    """The merged template and the app do not fit together."""


def mend(packaged: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Mend ``packaged``, what `chalice package` made of the app and of the template ``merged`` into it."""
    found: dict[str, Any] = copy.deepcopy(dict(packaged))
    resources: dict[str, Any] = found["Resources"]
    if strays := sorted(name for name, body in resources.items() if "Type" not in body):
        raise MendError(f"the template has settings for {', '.join(strays)}, but the app has no such function")
    for name, source in _queue_sources(resources):
        source["Queue"] = {"Fn::GetAtt": [_queue_named(source["Queue"], merged, name), "Arn"]}
    for role in _of(resources, ROLE):
        for policy in role["Properties"].get("Policies", []):
            policy["PolicyDocument"] = read_placeholders(policy["PolicyDocument"])
    if any(one["Properties"].get("Tracing") == "Active" for one in _of(resources, FUNCTION)):
        for api in _of(resources, API):
            api["Properties"]["TracingEnabled"] = True
    return found


def _of(resources: Mapping[str, Any], kind: str) -> Iterator[Any]:
    return (body for body in resources.values() if body["Type"] == kind)


def _queue_sources(resources: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, body in resources.items():
        for event in body.get("Properties", {}).get("Events", {}).values() if body["Type"] == FUNCTION else ():
            if event["Type"] == "SQS":
                yield name, event["Properties"]


def _queue_named(said: Any, merged: Mapping[str, Any], function: str) -> str:
    """The logical id of the queue that an ARN string names: by its name in the template, with or without the
    stack's before it, or by its logical id."""
    if isinstance(said, dict) and "Fn::GetAtt" in said:
        return str(said["Fn::GetAtt"][0])
    text = said.get("Fn::Sub") if isinstance(said, dict) else said
    wanted = str(text).rpartition(":")[2]
    for logical_id, body in merged.get("Resources", {}).items():
        if body.get("Type") != QUEUE:
            continue
        name = body.get("Properties", {}).get("QueueName", logical_id)
        name = name.get("Fn::Sub", "") if isinstance(name, dict) else name
        if wanted in {logical_id, name, name.removeprefix("${AWS::StackName}-")}:
            return str(logical_id)
    raise MendError(f"{function}: the template has no queue {wanted}")


def read_placeholders(value: Any) -> Any:
    """Wrap every plain string that has a CloudFormation placeholder in Fn::Sub."""
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)).startswith("Fn::"):
            return value
        return {key: read_placeholders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [read_placeholders(item) for item in value]
    return {"Fn::Sub": value} if isinstance(value, str) and needs_sub(value) else value
