"""Makes the tables, queues, topics, keys and secrets of a CloudFormation template through any AWS-like endpoint.

The one definition of these resources is the template that is deployed; a local run, the contract tests on
DynamoDB Local and a deployment therefore cannot drift. Kinds outside the table below (alarms, log groups,
functions) are skipped and listed; a property this loader cannot carry over is an error, never dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.aws.errors import TemplateError
from emulators.aws.template import pseudo_parameters, resolve

TABLE, QUEUE, KEY, ALIAS = "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::KMS::Key", "AWS::KMS::Alias"
SECRET, TOPIC = "AWS::SecretsManager::Secret", "AWS::SNS::Topic"
KINDS = frozenset({TABLE, QUEUE, KEY, ALIAS, SECRET, TOPIC})
_ACCOUNT, _REGION = "123456789012", "us-east-1"
"""Of tables that are made alone: any do, for nothing but their own names depends on them."""
ClientFactory = Callable[[str], Any]
"""From a service's name to a low-level boto3 client (no stubs are installed, hence Any)."""


@dataclass(slots=True, kw_only=True)
class Created:
    """What was made: by logical id, what Ref gives and what Fn::GetAtt gives."""

    refs: dict[str, str] = field(default_factory=dict)
    attributes: dict[tuple[str, str], str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def look_up(self, name: str, attribute: str | None) -> str:
        """:raises KeyError: for what was not made."""
        return self.refs[name] if attribute is None else self.attributes[name, attribute]

    def ids(self, kind: str) -> list[str]:
        return [name for name, found in self.kinds.items() if found == kind]


def create_resources(
    template: Mapping[str, Any],
    client: ClientFactory,
    *,
    account: str,
    region: str,
    stack: str = "local",
    kinds: frozenset[str] = KINDS,
    parameters: Mapping[str, str] | None = None,
) -> Created:
    """Make every resource of ``kinds`` in ``template``, what is referred to first.

    Making one that exists is the service's own error. Parameters take their value from ``parameters``, else their
    Default.

    :raises TemplateError: for an intrinsic, property or reference this loader does not know.
    """
    return _Maker(template, client, account, region, stack, kinds, dict(parameters or {})).make_all()


def create_tables(template: Mapping[str, Any], client: Any, *, expiring: bool = True) -> dict[str, str]:
    """Make the tables of ``template`` alone through a DynamoDB client; their names by logical id.

    ``expiring`` False leaves out their TimeToLiveSpecification. A server that deletes what has expired goes by the
    machine's time; it must not for whoever writes under a clock that stands elsewhere.
    """
    left_out = frozenset() if expiring else frozenset({"TimeToLiveSpecification"})
    tables = {
        name: {**body, "Properties": {key: value for key, value in body["Properties"].items() if key not in left_out}}
        for name, body in template["Resources"].items()
        if body.get("Type") == TABLE
    }
    made = create_resources({**template, "Resources": tables}, lambda _: client, account=_ACCOUNT, region=_REGION)
    return {name: made.refs[name] for name in tables}


class _Maker:
    def __init__(
        self,
        template: Mapping[str, Any],
        client: ClientFactory,
        account: str,
        region: str,
        stack: str,
        kinds: frozenset[str],
        parameters: dict[str, str],
    ) -> None:
        self.resources: Mapping[str, Any] = template.get("Resources", {})
        self.client, self.stack, self.kinds = client, stack, kinds
        self.account, self.region = account, region
        self.created = Created(refs=pseudo_parameters(account=account, region=region, stack=stack))
        for name, declared in template.get("Parameters", {}).items():
            if name in parameters or "Default" in declared:
                self.created.refs[name] = str(parameters.get(name, declared.get("Default")))
        self._under_way: list[str] = []

    def make_all(self) -> Created:
        mine = [name for name, body in self.resources.items() if body.get("Type") in self.kinds]
        for name in mine:
            self.make(name)
        self.created.skipped = tuple(sorted(set(self.resources) - set(mine)))
        return self.created

    def make(self, name: str) -> None:
        if name in self.created.kinds:
            return
        if name in self._under_way:
            raise TemplateError(f"circular reference: {' -> '.join([*self._under_way, name])}")
        self._under_way.append(name)
        body = self.resources[name]
        if "Condition" in body:
            raise TemplateError(f"{name}: cannot judge a Condition")
        properties = resolve(body.get("Properties", {}), self._look_up, where=name)
        _MAKERS[body["Type"]](self, name, properties)
        self.created.kinds[name] = body["Type"]
        self._under_way.pop()

    def _look_up(self, name: str, attribute: str | None) -> str:
        if name not in self.created.refs and self.resources.get(name, {}).get("Type") in self.kinds:
            self.make(name)
        return self.created.look_up(name, attribute)

    def done(self, name: str, ref: str, **attributes: str) -> None:
        self.created.refs[name] = ref
        for attribute, value in attributes.items():
            self.created.attributes[name, attribute] = value


def _take(properties: dict[str, Any], known: frozenset[str], ignored: frozenset[str], name: str) -> dict[str, Any]:
    if unknown := set(properties) - known - ignored:
        raise TemplateError(f"{name}: cannot carry over the properties {sorted(unknown)}")
    return {key: value for key, value in properties.items() if key in known}


_TABLE_PROPERTIES = frozenset(
    {"TableName", "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput"}
    | {"GlobalSecondaryIndexes", "LocalSecondaryIndexes", "StreamSpecification", "TimeToLiveSpecification"}
)
# Of no consequence on one machine: encryption at rest, backups, protection from deletion, billing, names of
# costs.
_TABLE_IGNORED = frozenset(
    {
        "SSESpecification",
        "PointInTimeRecoverySpecification",
        "DeletionProtectionEnabled",
        "TableClass",
        "Tags",
    }
    | {"ContributorInsightsSpecification", "OnDemandThroughput", "WarmThroughput"}
)


def _make_table(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    wanted = _take(properties, _TABLE_PROPERTIES, _TABLE_IGNORED, name)
    wanted.setdefault("TableName", f"{maker.stack}-{name}")
    lifetime = wanted.pop("TimeToLiveSpecification", None)
    stream = wanted.get("StreamSpecification")
    if stream is not None:
        wanted["StreamSpecification"] = {"StreamEnabled": True, **stream}
    wanted["GlobalSecondaryIndexes"] = [
        {key: value for key, value in index.items() if key not in _TABLE_IGNORED}
        for index in wanted.get("GlobalSecondaryIndexes", [])
    ]
    if not wanted["GlobalSecondaryIndexes"]:
        del wanted["GlobalSecondaryIndexes"]
    dynamodb = maker.client("dynamodb")
    made = dynamodb.create_table(**wanted)["TableDescription"]
    if lifetime is not None:
        dynamodb.update_time_to_live(TableName=wanted["TableName"], TimeToLiveSpecification=lifetime)
    # DynamoDB Local invents an account; what a policy will name is the deployment's own ARN.
    arn = f"arn:aws:dynamodb:{maker.region}:{maker.account}:table/{wanted['TableName']}"
    stream_arn = {"StreamArn": made["LatestStreamArn"]} if "LatestStreamArn" in made else {}
    maker.done(name, wanted["TableName"], Arn=arn, **stream_arn)


_QUEUE_ATTRIBUTES = frozenset(
    {"DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds"}
    | {"VisibilityTimeout", "RedrivePolicy", "FifoQueue", "ContentBasedDeduplication"}
)
_QUEUE_IGNORED = frozenset(
    {"SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedriveAllowPolicy", "Tags"}
)


def _make_queue(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    queue_name = properties.pop("QueueName", f"{maker.stack}-{name}")
    wanted = _take(properties, _QUEUE_ATTRIBUTES, _QUEUE_IGNORED, name)
    attributes = {
        key: json.dumps(value) if isinstance(value, dict | bool) else str(value) for key, value in wanted.items()
    }
    url = maker.client("sqs").create_queue(QueueName=queue_name, Attributes=attributes)["QueueUrl"]
    arn = f"arn:aws:sqs:{maker.region}:{maker.account}:{queue_name}"
    maker.done(name, url, Arn=arn, QueueName=queue_name, QueueUrl=url)


_KEY_PROPERTIES = frozenset({"Description", "KeySpec", "KeyUsage"})
# The gate judges by the functions' own policies; a key policy that delegates to IAM changes nothing here.
_KEY_IGNORED = frozenset({"KeyPolicy", "EnableKeyRotation", "PendingWindowInDays", "Enabled", "Tags"})


def _make_key(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    wanted = _take(properties, _KEY_PROPERTIES, _KEY_IGNORED, name)
    made = maker.client("kms").create_key(**wanted)["KeyMetadata"]
    maker.done(name, made["KeyId"], Arn=made["Arn"], KeyId=made["KeyId"])


def _make_alias(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    maker.client("kms").create_alias(AliasName=properties["AliasName"], TargetKeyId=properties["TargetKeyId"])
    maker.done(name, properties["AliasName"])


def _make_secret(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    wanted = _take(
        properties, frozenset({"Name", "Description", "SecretString"}), frozenset({"KmsKeyId", "Tags"}), name
    )
    wanted.setdefault("Name", f"{maker.stack}-{name}")
    arn = maker.client("secretsmanager").create_secret(**wanted)["ARN"]
    maker.done(name, arn, Id=arn)


def _make_topic(maker: _Maker, name: str, properties: dict[str, Any]) -> None:
    wanted = _take(properties, frozenset({"TopicName"}), frozenset({"KmsMasterKeyId", "DisplayName", "Tags"}), name)
    topic = wanted.get("TopicName", f"{maker.stack}-{name}")
    arn = maker.client("sns").create_topic(Name=topic)["TopicArn"]
    maker.done(name, arn, TopicArn=arn, TopicName=topic)


_MAKERS: Mapping[str, Callable[[_Maker, str, dict[str, Any]], None]] = {
    TABLE: _make_table,
    QUEUE: _make_queue,
    KEY: _make_key,
    ALIAS: _make_alias,
    SECRET: _make_secret,
    TOPIC: _make_topic,
}
