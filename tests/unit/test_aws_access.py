"""What requests want to do, read from requests as boto3 sends them."""

import base64
import json
from typing import Any

import pytest

from emulators.aws.access import UnjudgeableError, invoked_function, read_call, signer
from emulators.aws.web import Request

ACCOUNT = "123456789012"
SECRET = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:globus-AbCdEf"
TABLES = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/k-1"


class Known:
    """A directory of one key, one table and its index."""

    account, region = ACCOUNT, "eu-west-1"

    def hash_key(self, table: str, index: str | None) -> str | None:
        return {("jobs", None): "user", ("jobs", "by-site"): "site"}.get((table, index))

    def key_arn(self, key: str) -> str | None:
        return KEY if key in {"k-1", KEY, "alias/tokens"} else None

    def key_aliases(self, arn: str) -> tuple[str, ...]:
        return ("alias/tokens",) if arn == KEY else ()

    def secret_arn(self, secret: str) -> str | None:
        return SECRET if secret in {"globus", SECRET} else None

    def sealing_key(self, ciphertext: str) -> str | None:
        return base64.b64decode(ciphertext)[:3].decode()


def request(target: str, body: Any, path: str = "/", method: str = "POST") -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method=method, target=path, headers=(("X-Amz-Target", target),), body=raw)


def wants(service: str, target: str, body: Any) -> list[tuple[str, str]]:
    call = read_call(request(target, body), service, Known())
    return [(access.action, access.resource) for access in call.accesses]


def context(service: str, target: str, body: Any) -> dict[str, tuple[str, ...]]:
    return dict(read_call(request(target, body), service, Known()).accesses[0].context)


def test_the_signature_names_the_caller_and_the_service() -> None:
    value = "AWS4-HMAC-SHA256 Credential=AKIA1/20301122/eu-west-1/kms/aws4_request, SignedHeaders=host, Signature=0"
    signed = Request(method="POST", target="/", headers=(("authorization", value),), body=b"")
    assert signer(signed) == ("AKIA1", "kms")
    assert signer(request("x", {})) is None


def test_an_item_operation_is_on_its_table() -> None:
    body = {"TableName": "jobs", "Key": {"user": {"S": "ann"}, "number": {"N": "7"}}}
    assert wants("dynamodb", "DynamoDB_20120810.GetItem", body) == [("dynamodb:GetItem", TABLES + "jobs")]


def test_a_table_may_be_named_by_its_arn() -> None:
    body = {"TableName": TABLES + "jobs", "Key": {"user": {"S": "ann"}}}
    assert wants("dynamodb", "X.DeleteItem", body) == [("dynamodb:DeleteItem", TABLES + "jobs")]
    assert context("dynamodb", "X.DeleteItem", body)["dynamodb:leadingkeys"] == ("ann",)


def test_a_query_of_an_index_is_on_the_index() -> None:
    body = {"TableName": "jobs", "IndexName": "by-site"}
    assert wants("dynamodb", "X.Query", body) == [("dynamodb:Query", TABLES + "jobs/index/by-site")]


def test_a_transaction_needs_the_action_of_every_part() -> None:
    key = {"user": {"S": "ann"}}
    parts = [
        {"Put": {"TableName": "jobs", "Item": key}},
        {"Update": {"TableName": "desks", "Key": key}},
        {"Delete": {"TableName": "inbox", "Key": key}},
        {"ConditionCheck": {"TableName": "sites", "Key": key}},
    ]
    assert wants("dynamodb", "X.TransactWriteItems", {"TransactItems": parts}) == [
        ("dynamodb:PutItem", TABLES + "jobs"),
        ("dynamodb:UpdateItem", TABLES + "desks"),
        ("dynamodb:DeleteItem", TABLES + "inbox"),
        ("dynamodb:ConditionCheckItem", TABLES + "sites"),
    ]
    reads = {"TransactItems": [{"Get": {"TableName": "jobs", "Key": key}}]}
    assert wants("dynamodb", "X.TransactGetItems", reads) == [("dynamodb:GetItem", TABLES + "jobs")]


def test_a_batch_is_on_every_table_it_names() -> None:
    keys = {"Keys": [{"user": {"S": "ann"}}, {"user": {"S": "bob"}}]}
    body = {"RequestItems": {"jobs": keys, "desks": keys}}
    assert wants("dynamodb", "X.BatchGetItem", body) == [
        ("dynamodb:BatchGetItem", TABLES + "jobs"),
        ("dynamodb:BatchGetItem", TABLES + "desks"),
    ]
    assert context("dynamodb", "X.BatchGetItem", body)["dynamodb:leadingkeys"] == ("ann", "bob")
    writes = {"RequestItems": {"jobs": [{"PutRequest": {"Item": {"user": {"S": "ann"}}}}]}}
    assert wants("dynamodb", "X.BatchWriteItem", writes) == [("dynamodb:BatchWriteItem", TABLES + "jobs")]


def test_a_statement_needs_partiqls_own_action_on_its_table() -> None:
    ann, seven = {"S": "ann"}, {"N": "7"}
    statements = [
        {"Statement": "INSERT INTO \"jobs\" VALUE {'user': ?, 'n': ?}", "Parameters": [ann, seven]},
        {"Statement": 'UPDATE "desks" SET "n"=? WHERE "user"=?', "Parameters": [seven, ann]},
    ]
    assert wants("dynamodb", "X.BatchExecuteStatement", {"Statements": statements}) == [
        ("dynamodb:PartiQLInsert", TABLES + "jobs"),
        ("dynamodb:PartiQLUpdate", TABLES + "desks"),
    ]
    one = {"Statements": statements[:1]}
    assert context("dynamodb", "X.BatchExecuteStatement", one)["dynamodb:leadingkeys"] == ("ann",)


def test_a_statement_that_is_not_read_is_refused_by_name() -> None:
    body = {"Statements": [{"Statement": 'SELECT * FROM "jobs"'}]}
    with pytest.raises(UnjudgeableError, match="SELECT"):
        wants("dynamodb", "X.BatchExecuteStatement", body)


def test_a_query_shows_its_leading_key_however_it_is_spelt() -> None:
    body = {
        "TableName": "jobs",
        "KeyConditionExpression": "#n > :n AND #u = :u",
        "ExpressionAttributeNames": {"#u": "user", "#n": "number"},
        "ExpressionAttributeValues": {":u": {"S": "ann"}, ":n": {"N": "1"}},
    }
    assert context("dynamodb", "X.Query", body)["dynamodb:leadingkeys"] == ("ann",)


def test_a_query_whose_key_cannot_be_read_has_one_that_no_pattern_names() -> None:
    body = {"TableName": "jobs", "KeyConditionExpression": "odd", "ExpressionAttributeValues": {}}
    assert context("dynamodb", "X.Query", body)["dynamodb:leadingkeys"] == ("",)


def test_a_key_is_judged_by_its_arn_however_it_is_named() -> None:
    for name in ("k-1", KEY, "alias/tokens"):
        body = {"KeyId": name, "Plaintext": "eA==", "EncryptionContext": {"User": "ann"}}
        assert wants("kms", "TrentService.Encrypt", body) == [("kms:Encrypt", KEY)]
    found = context("kms", "TrentService.Encrypt", body)
    assert found["kms:requestalias"] == ("alias/tokens",)
    assert found["kms:resourcealiases"] == ("alias/tokens",)
    assert found["kms:encryptioncontextkeys"] == ("User",)
    assert found["kms:encryptioncontext:user"] == ("ann",)


def test_a_decrypt_that_names_no_key_is_on_the_key_that_sealed() -> None:
    body = {"CiphertextBlob": base64.b64encode(b"k-1sealed").decode()}
    assert wants("kms", "TrentService.Decrypt", body) == [("kms:Decrypt", KEY)]


def test_re_encrypting_needs_both_keys() -> None:
    body = {"CiphertextBlob": base64.b64encode(b"k-1sealed").decode(), "DestinationKeyId": "elsewhere"}
    wanted = wants("kms", "TrentService.ReEncrypt", body)
    assert wanted == [("kms:ReEncryptFrom", KEY), ("kms:ReEncryptTo", KEY.replace("k-1", "unknown"))]


def test_a_queue_is_named_by_the_end_of_its_url() -> None:
    url = f"http://127.0.0.1:1/{ACCOUNT}/wake"
    arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:wake"
    assert wants("sqs", "AmazonSQS.SendMessage", {"QueueUrl": url}) == [("sqs:SendMessage", arn)]
    assert wants("sqs", "AmazonSQS.SendMessageBatch", {"QueueUrl": url}) == [("sqs:SendMessage", arn)]
    assert wants("sqs", "AmazonSQS.GetQueueUrl", {"QueueName": "wake"}) == [("sqs:GetQueueUrl", arn)]


def test_a_secret_is_judged_by_its_whole_arn_however_it_is_named() -> None:
    for name in ("globus", SECRET):
        wanted = wants("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": name})
        assert wanted == [("secretsmanager:GetSecretValue", SECRET)]


@pytest.mark.parametrize("name", ["seal", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:seal"])
def test_an_invoked_function_may_be_named_by_its_arn(name: str) -> None:
    path = f"/2015-03-31/functions/{name.replace(':', '%3A')}/invocations"
    asked = request("", b"{}", path)
    assert invoked_function(asked) == "seal"
    (access,) = read_call(asked, "lambda", Known()).accesses
    arn = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:seal"
    assert (access.action, access.resource) == ("lambda:InvokeFunction", arn)


@pytest.mark.parametrize(
    ("service", "target", "body"),
    [
        ("dynamodb", "DynamoDB_20120810.CreateTable", {"TableName": "jobs"}),
        ("dynamodb", "DynamoDB_20120810.ExecuteStatement", {"Statement": "SELECT * FROM jobs"}),
        ("dynamodb", "DynamoDB_20120810.GetItem", {"Key": {}}),
        ("dynamodb", "DynamoDB_20120810.GetItem", {"TableName": "jobs", "Key": {"wrong": {"S": "x"}}}),
        ("dynamodb", "DynamoDB_20120810.GetItem", b"not json"),
        ("dynamodb", "DynamoDB_20120810.GetItem", b"[]"),
        ("dynamodb", "", {"TableName": "jobs"}),
        ("kms", "TrentService.ScheduleKeyDeletion", {"KeyId": "k-1"}),
        ("sqs", "AmazonSQS.DeleteQueue", {"QueueUrl": "http://x/1/q"}),
        ("secretsmanager", "secretsmanager.DeleteSecret", {"SecretId": "globus"}),
        ("s3", "", b""),
        ("lambda", "", b""),
    ],
)
def test_what_is_in_no_table_is_refused_by_name(service: str, target: str, body: Any) -> None:
    with pytest.raises(UnjudgeableError, match=service):
        read_call(request(target, body), service, Known())
