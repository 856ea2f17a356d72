"""The gate before AWS, driven by real boto3 clients with the keys of functions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from emulators.aws import AwsStack
from emulators.aws.front import Seen
from emulators.aws.iam import parse_policy

PROJECT = Path(__file__).parent / "fixtures" / "aws_project"
ARNS = "arn:aws:dynamodb:us-east-1:123456789012:table/small-notes"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStack]:
    """The endpoint alone: no function runs, callers are admitted by hand."""
    state = tmp_path_factory.mktemp("aws")
    with AwsStack(None, templates=[PROJECT / "infra/template.json"], state_dir=state) as running:
        yield running


def admit(stack: AwsStack, *statements: dict[str, Any], name: str = "caller") -> None:
    stack.admit(name, parse_policy({"Version": "2012-10-17", "Statement": list(statements)}, name=name))


def allow(action: Any, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_the_template_made_the_table_with_its_index_and_lifetime(stack: AwsStack) -> None:
    dynamodb = stack.client("dynamodb")
    table = dynamodb.describe_table(TableName="small-notes")["Table"]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["by-owner"]
    lifetime = dynamodb.describe_time_to_live(TableName="small-notes")["TimeToLiveDescription"]
    assert (lifetime["AttributeName"], lifetime["TimeToLiveStatus"]) == ("expires", "ENABLED")


def test_the_template_made_the_queue_with_its_redrive(stack: AwsStack) -> None:
    found = stack.client("sqs").get_queue_attributes(QueueUrl=stack.created.refs["WorkQueue"], AttributeNames=["All"])[
        "Attributes"
    ]
    assert found["VisibilityTimeout"] == "120"
    assert json.loads(found["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:small-dead",
        "maxReceiveCount": 2,
    }


def test_a_refused_item_operation_names_action_and_resource_and_no_value(stack: AwsStack) -> None:
    admit(stack, allow("dynamodb:GetItem", ARNS))
    dynamodb = stack.client("dynamodb", "caller")
    assert "Item" not in dynamodb.get_item(TableName="small-notes", Key={"id": {"S": "none"}})
    code, message = refusal(
        dynamodb.put_item, TableName="small-notes", Item={"id": {"S": "a-secret"}, "text": {"S": "a-secret"}}
    )
    assert code == "AccessDeniedException"
    assert "dynamodb:PutItem" in message
    assert ARNS in message
    assert "a-secret" not in message


def test_a_transaction_is_refused_for_one_part_and_changes_nothing(stack: AwsStack) -> None:
    admit(stack, allow(["dynamodb:PutItem"], ARNS))
    parts: list[Any] = [
        {"Put": {"TableName": "small-notes", "Item": {"id": {"S": "t1"}}}},
        {"Delete": {"TableName": "small-notes", "Key": {"id": {"S": "t2"}}}},
    ]
    dynamodb = stack.client("dynamodb", "caller")
    code, message = refusal(dynamodb.transact_write_items, TransactItems=parts)
    assert (code, "dynamodb:DeleteItem" in message) == ("AccessDeniedException", True)
    assert "Item" not in stack.client("dynamodb").get_item(TableName="small-notes", Key={"id": {"S": "t1"}})
    admit(stack, allow(["dynamodb:PutItem", "dynamodb:DeleteItem"], ARNS))
    dynamodb.transact_write_items(TransactItems=parts)
    assert "Item" in stack.client("dynamodb").get_item(TableName="small-notes", Key={"id": {"S": "t1"}})


def test_an_index_needs_a_grant_of_its_own(stack: AwsStack) -> None:
    query = {
        "TableName": "small-notes",
        "IndexName": "by-owner",
        "KeyConditionExpression": "#o = :o",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":o": {"S": "ann"}},
    }
    admit(stack, allow("dynamodb:Query", ARNS))
    dynamodb = stack.client("dynamodb", "caller")
    assert refusal(dynamodb.query, **query)[0] == "AccessDeniedException"
    admit(stack, allow("dynamodb:Query", ARNS + "/index/*"))
    assert dynamodb.query(**query)["Items"] == []


def test_leading_keys_bound_what_a_caller_reads(stack: AwsStack) -> None:
    condition = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ann"]}}
    admit(stack, allow("dynamodb:*", ARNS + "*", Condition=condition))
    dynamodb = stack.client("dynamodb", "caller")
    dynamodb.get_item(TableName="small-notes", Key={"id": {"S": "ann"}})
    assert refusal(dynamodb.get_item, TableName="small-notes", Key={"id": {"S": "bob"}})[0] == "AccessDeniedException"


def test_a_topic_takes_a_message_from_whom_its_policy_names_and_from_no_other(stack: AwsStack) -> None:
    topic = stack.created.refs["News"]
    admit(stack, allow("sns:Publish", topic), name="herald")
    admit(stack, allow("sns:Publish", topic.replace("small-news", "other")), name="stranger")
    assert stack.client("sns", "herald").publish(TopicArn=topic, Message="a-secret & more")["MessageId"]
    code, message = refusal(stack.client("sns", "stranger").publish, TopicArn=topic, Message="a-secret & more")
    assert (code, "sns:Publish" in message, "a-secret" in message) == ("AuthorizationError", True, False)
    code, _ = refusal(stack.client("sns", "herald").create_topic, Name="another")
    assert code == "AuthorizationError", "what a function may ask of a topic is to publish"


def test_sealing_is_bound_to_its_context(stack: AwsStack) -> None:
    arn = stack.created.attributes["NamesKey", "Arn"]
    condition = {
        "StringEquals": {"kms:EncryptionContext:purpose": "token"},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["purpose", "user"]},
    }
    admit(stack, allow("kms:Encrypt", arn, Condition=condition), name="sealer")
    admit(stack, allow(["kms:Decrypt"], arn), name="opener")
    sealer, opener = stack.client("kms", "sealer"), stack.client("kms", "opener")
    sealed = sealer.encrypt(
        KeyId="alias/small-names", Plaintext=b"x", EncryptionContext={"purpose": "token", "user": "ann"}
    )["CiphertextBlob"]
    wrong: dict[str, str]
    for wrong in ({}, {"purpose": "other"}, {"purpose": "token", "more": "x"}):
        code, message = refusal(sealer.encrypt, KeyId="alias/small-names", Plaintext=b"x", EncryptionContext=wrong)
        assert (code, arn in message) == ("AccessDeniedException", True)
    code, message = refusal(sealer.decrypt, CiphertextBlob=sealed, EncryptionContext={"purpose": "token"})
    assert (code, "kms:Decrypt" in message, arn in message) == ("AccessDeniedException", True, True)
    opened = opener.decrypt(CiphertextBlob=sealed, EncryptionContext={"purpose": "token", "user": "ann"})
    assert opened["Plaintext"] == b"x"
    code, _ = refusal(opener.decrypt, CiphertextBlob=sealed, EncryptionContext={"purpose": "token", "user": "bob"})
    assert code == "InvalidCiphertextException"


def test_a_grant_by_alias_condition_follows_the_alias(stack: AwsStack) -> None:
    condition = {"StringEquals": {"kms:RequestAlias": "alias/small-names"}}
    admit(stack, allow("kms:Encrypt", "*", Condition=condition))
    kms = stack.client("kms", "caller")
    kms.encrypt(KeyId="alias/small-names", Plaintext=b"x")
    assert refusal(kms.encrypt, KeyId=stack.created.refs["NamesKey"], Plaintext=b"x")[0] == "AccessDeniedException"
    assert refusal(kms.encrypt, KeyId="alias/none", Plaintext=b"x")[0] == "AccessDeniedException"


def test_a_secret_is_read_by_who_may_alone(stack: AwsStack) -> None:
    arn = stack.created.refs["Client"]
    stack.client("secretsmanager").put_secret_value(SecretId=arn, SecretString="hush")
    admit(stack, allow("secretsmanager:GetSecretValue", arn), name="reader")
    admit(stack, allow("dynamodb:*"))
    assert stack.client("secretsmanager", "reader").get_secret_value(SecretId=arn)["SecretString"] == "hush"
    code, message = refusal(stack.client("secretsmanager", "caller").get_secret_value, SecretId=arn)
    assert (code, arn in message) == ("AccessDeniedException", True)


def test_a_queue_refuses_in_its_own_words(stack: AwsStack) -> None:
    admit(stack, allow("sqs:SendMessage", "arn:aws:sqs:*:*:small-dead"))
    sqs = stack.client("sqs", "caller")
    sqs.send_message(QueueUrl=stack.created.refs["Dead"], MessageBody="x")
    code, message = refusal(sqs.send_message, QueueUrl=stack.created.refs["WorkQueue"], MessageBody="x")
    assert (code, "sqs:SendMessage" in message) == ("AccessDenied", True)
    assert refusal(sqs.receive_message, QueueUrl=stack.created.refs["Dead"])[0] == "AccessDenied"


def test_invoking_a_function_needs_a_grant_for_it(stack: AwsStack) -> None:
    admit(stack, allow("lambda:InvokeFunction", "arn:aws:lambda:*:*:function:one"))
    client = stack.client("lambda", "caller")
    code, message = refusal(client.invoke, FunctionName="two", Payload=b"{}")
    assert (code, "function:two" in message) == ("AccessDeniedException", True)
    assert refusal(client.invoke, FunctionName="one", Payload=b"{}")[0] == "ResourceNotFoundException"


def test_a_service_outside_the_stack_is_refused_even_to_a_wildcard(stack: AwsStack) -> None:
    admit(stack, allow("*"))
    assert refusal(stack.client("s3", "caller").list_buckets)[0] == "403"
    assert (
        refusal(stack.client("dynamodb", "caller").delete_table, TableName="small-notes")[0] == "AccessDeniedException"
    )


def test_a_stranger_is_not_recognised(stack: AwsStack) -> None:
    stranger = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=stack.endpoint_url,
        aws_access_key_id="AKIANOBODY",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert refusal(stranger.list_tables)[0] == "UnrecognizedClientException"


def test_an_observer_sees_what_passed_and_how_it_ended(stack: AwsStack) -> None:
    seen: list[Seen] = []
    stack.observe(seen.append)
    admit(stack, allow("dynamodb:GetItem", ARNS))
    dynamodb = stack.client("dynamodb", "caller")
    dynamodb.get_item(TableName="small-notes", Key={"id": {"S": "x"}})
    refusal(dynamodb.delete_item, TableName="small-notes", Key={"id": {"S": "x"}})
    assert [(one.caller, one.call.operation, one.status) for one in seen] == [
        ("caller", "GetItem", None),
        ("caller", "GetItem", 200),
    ]


def test_a_second_stack_in_one_process_is_refused(stack: AwsStack, tmp_path: Path) -> None:
    other = AwsStack(None, templates=[PROJECT / "infra/template.json"], state_dir=tmp_path)
    with pytest.raises(Exception, match="another stack"):
        other.start()
