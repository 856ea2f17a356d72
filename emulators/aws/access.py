"""What a signed AWS request wants to do: its IAM actions, the ARNs they touch, its condition keys.

Owns the tables of the services that the functions call: DynamoDB, KMS, SQS and Secrets Manager by their
JSON protocols, and Lambda Invoke. An operation that is in no table is refused by name, so that nothing
passes because nobody thought of it. Reads requests only; decides nothing. Sources: the Service
Authorization Reference of each service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from emulators.aws import partiql
from emulators.aws.iam import Access
from emulators.aws.web import Request


class UnjudgeableError(Exception):
    """The request names an operation this stack does not answer for a function."""

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(f"{service}:{operation} is not an operation of this stack")
        self.service, self.operation = service, operation


class Directory(Protocol):
    """Answers what a request alone does not say."""

    account: str
    region: str

    def hash_key(self, table: str, index: str | None) -> str | None:
        """The name of a table's or index's partition key, or None where there is no such table."""
        ...

    def key_arn(self, key: str) -> str | None:
        """The ARN of a KMS key from its id, ARN, alias or alias ARN."""
        ...

    def key_aliases(self, arn: str) -> tuple[str, ...]:
        """The aliases of a KMS key, each beginning ``alias/``."""
        ...

    def secret_arn(self, secret: str) -> str | None:
        """The ARN of a secret from its name or ARN."""
        ...

    def sealing_key(self, ciphertext: str) -> str | None:
        """The id of the key that made a (base64) ciphertext, which bears it in the clear."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, named: ``accesses`` must all be allowed."""

    service: str
    operation: str
    accesses: tuple[Access, ...]


_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


def signer(request: Request) -> tuple[str, str] | None:
    """The (access key id, service) that signed a request, or None."""
    found = _CREDENTIAL.match(request.header("Authorization") or "")
    return (found[1], found[3]) if found else None


def read_call(request: Request, service: str, directory: Directory) -> Call:
    """Name the accesses of one request.

    :raises UnjudgeableError: for a service or operation outside the tables.
    """
    if service == "lambda":
        return _lambda_call(request, directory)
    if service == "sns":
        return _sns_call(request, directory)
    readers: Mapping[str, _Reader] = {"dynamodb": _dynamodb, "kms": _kms, "sqs": _sqs, "secretsmanager": _secrets}
    target = request.header("X-Amz-Target") or ""
    operation = target.rpartition(".")[2]
    if service not in readers or not operation:
        raise UnjudgeableError(service, operation or request.target.partition("?")[0])
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UnjudgeableError(service, operation)
    try:
        accesses = tuple(readers[service](operation, body, directory))
    except (KeyError, TypeError, AttributeError) as error:
        raise UnjudgeableError(service, operation) from error
    return Call(service=service, operation=operation, accesses=accesses)


_Context = dict[str, tuple[str, ...]]
_Reader = Callable[[str, dict[str, Any], Directory], Iterator[Access]]

# DynamoDB: what acts on one table or index under its own name.
_TABLE_OPERATIONS = frozenset(
    {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "DescribeTable", "DescribeTimeToLive"}
)
_TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


def _dynamodb(operation: str, body: dict[str, Any], directory: Directory) -> Iterator[Access]:
    if operation in _TABLE_OPERATIONS:
        yield _table_access(operation, body, directory)
    elif operation == "TransactWriteItems":
        # A transaction needs the action of each of its parts; there is none of its own.
        for part in body["TransactItems"]:
            ((kind, one),) = part.items()
            yield _table_access(_TRANSACTED[kind], one, directory)
    elif operation == "TransactGetItems":
        for part in body["TransactItems"]:
            yield _table_access("GetItem", part["Get"], directory)
    elif operation == "BatchGetItem":
        for table, request in body["RequestItems"].items():
            keys = [{"Key": key} for key in request["Keys"]]
            yield _batch_access(operation, table, keys, directory)
    elif operation == "BatchWriteItem":
        for table, writes in body["RequestItems"].items():
            keys = [one for write in writes for one in write.values()]
            yield _batch_access(operation, table, keys, directory)
    elif operation == "BatchExecuteStatement":
        for each in body["Statements"]:
            yield _statement_access(each, directory)
    else:
        raise UnjudgeableError("dynamodb", operation)


def _statement_access(statement: Mapping[str, Any], directory: Directory) -> Access:
    """A statement needs PartiQL's own action of its kind, and no other."""
    try:
        found = partiql.read(statement["Statement"], statement.get("Parameters", ()))
    except partiql.UnknownStatementError as error:
        raise UnjudgeableError("dynamodb", f"BatchExecuteStatement ({error})") from error
    action = "PartiQLInsert" if isinstance(found, partiql.Insert) else "PartiQLUpdate"
    return _table_access(action, {"TableName": found.table, "Key": found.named}, directory)


def _table_arn(table: str, directory: Directory) -> str:
    return (
        table if table.startswith("arn:") else f"arn:aws:dynamodb:{directory.region}:{directory.account}:table/{table}"
    )


def _table_access(operation: str, body: dict[str, Any], directory: Directory) -> Access:
    table, index = body["TableName"], body.get("IndexName")
    context = _general(directory)
    leading = _leading_key(body, directory.hash_key(table.rpartition("/")[2], index))
    if leading is not None:
        context["dynamodb:leadingkeys"] = (leading,)
    for name in ("Select", "ReturnValues"):
        if name in body:
            context[f"dynamodb:{name.lower()}"] = (body[name],)
    arn = _table_arn(table, directory)
    return Access(action=f"dynamodb:{operation}", resource=f"{arn}/index/{index}" if index else arn, context=context)


def _batch_access(operation: str, table: str, items: list[dict[str, Any]], directory: Directory) -> Access:
    hash_key = directory.hash_key(table, None)
    leading = [key for item in items if (key := _leading_key(item, hash_key)) is not None]
    context = _general(directory)
    if leading:
        context["dynamodb:leadingkeys"] = tuple(dict.fromkeys(leading))
    return Access(action=f"dynamodb:{operation}", resource=_table_arn(table, directory), context=context)


def _leading_key(body: Mapping[str, Any], hash_key: str | None) -> str | None:
    """The partition key's value of an item, a key or a query's key condition.

    A query whose condition cannot be read has the value "" that no sensible pattern names: a missing key
    would satisfy ForAllValues.
    """
    if hash_key is None:
        return None
    attributes = body.get("Key") or body.get("Item")
    if attributes is not None:
        return str(next(iter(attributes[hash_key].values())))
    if "KeyConditionExpression" not in body:
        return None
    names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
    for left, right in re.findall(r"([#\w.-]+)\s*=\s*(:[\w.-]+)", body["KeyConditionExpression"]):
        if names.get(left, left) == hash_key and right in values:
            return str(next(iter(values[right].values())))
    return ""


def _general(directory: Directory) -> _Context:
    return {
        "aws:requestedregion": (directory.region,),
        "aws:principalaccount": (directory.account,),
        "aws:securetransport": ("true",),
    }


_KEY_OPERATIONS = frozenset(
    {"Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "DescribeKey"}
    | {"GenerateMac", "VerifyMac"}
)


def _kms(operation: str, body: dict[str, Any], directory: Directory) -> Iterator[Access]:
    if operation == "GenerateRandom":
        yield Access(action="kms:GenerateRandom", resource="*", context=_general(directory))
        return
    if operation == "ReEncrypt":
        source = body.get("SourceKeyId") or directory.sealing_key(body["CiphertextBlob"]) or ""
        yield _key_access("ReEncryptFrom", source, body.get("SourceEncryptionContext"), directory)
        target = body["DestinationKeyId"]
        yield _key_access("ReEncryptTo", target, body.get("DestinationEncryptionContext"), directory)
        return
    if operation not in _KEY_OPERATIONS:
        raise UnjudgeableError("kms", operation)
    key = body.get("KeyId") or directory.sealing_key(body.get("CiphertextBlob", "")) or ""
    yield _key_access(operation, key, body.get("EncryptionContext"), directory)


def _key_access(operation: str, key: str, sealing: Mapping[str, str] | None, directory: Directory) -> Access:
    arn = directory.key_arn(key) or f"arn:aws:kms:{directory.region}:{directory.account}:key/unknown"
    context = _general(directory)
    if "alias/" in key:
        context["kms:requestalias"] = (key[key.index("alias/") :],)
    if aliases := directory.key_aliases(arn):
        context["kms:resourcealiases"] = aliases
    if sealing:
        context["kms:encryptioncontextkeys"] = tuple(sealing)
        for name, value in sealing.items():
            context[f"kms:encryptioncontext:{name.lower()}"] = (value,)
    return Access(action=f"kms:{operation}", resource=arn, context=context)


_QUEUE_OPERATIONS = {
    **{
        name: name
        for name in (
            "SendMessage",
            "ReceiveMessage",
            "DeleteMessage",
            "ChangeMessageVisibility",
            "GetQueueAttributes",
            "GetQueueUrl",
            "PurgeQueue",
        )
    },
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}


def _sqs(operation: str, body: dict[str, Any], directory: Directory) -> Iterator[Access]:
    if operation not in _QUEUE_OPERATIONS:
        raise UnjudgeableError("sqs", operation)
    by_name = operation == "GetQueueUrl"
    name = body["QueueName"] if by_name else urlsplit(body["QueueUrl"]).path.rpartition("/")[2]
    arn = f"arn:aws:sqs:{directory.region}:{directory.account}:{name}"
    yield Access(action=f"sqs:{_QUEUE_OPERATIONS[operation]}", resource=arn, context=_general(directory))


def _secrets(operation: str, body: dict[str, Any], directory: Directory) -> Iterator[Access]:
    if operation not in {"GetSecretValue", "DescribeSecret", "PutSecretValue"}:
        raise UnjudgeableError("secretsmanager", operation)
    unknown = f"arn:aws:secretsmanager:{directory.region}:{directory.account}:secret:unknown"
    arn = directory.secret_arn(body["SecretId"]) or unknown
    yield Access(action=f"secretsmanager:{operation}", resource=arn, context=_general(directory))


def _sns_call(request: Request, directory: Directory) -> Call:
    """SNS speaks the Query protocol: a form that names the action."""
    form = parse_qs((request.body or b"").decode())
    operation, topic = (form.get(name, [""])[0] for name in ("Action", "TopicArn"))
    if operation != "Publish" or not topic:
        raise UnjudgeableError("sns", operation)
    access = Access(action="sns:Publish", resource=topic, context=_general(directory))
    return Call(service="sns", operation=operation, accesses=(access,))


_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


def invoked_function(request: Request) -> str | None:
    """The function that a Lambda Invoke request names, as its plain name."""
    found = _INVOKE.fullmatch(urlsplit(request.target).path)
    if found is None or request.method != "POST":
        return None
    name = unquote(found[1])
    return name.split(":")[6] if name.startswith("arn:") and name.count(":") >= 6 else name


def _lambda_call(request: Request, directory: Directory) -> Call:
    name = invoked_function(request)
    if name is None:
        raise UnjudgeableError("lambda", f"{request.method} {urlsplit(request.target).path}")
    arn = f"arn:aws:lambda:{directory.region}:{directory.account}:function:{name}"
    access = Access(action="lambda:InvokeFunction", resource=arn, context=_general(directory))
    return Call(service="lambda", operation="Invoke", accesses=(access,))
