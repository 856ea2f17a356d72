"""What the tables promise under threads and in transactions, on moto put right and on Amazon's DynamoDB
Local."""

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from emulators.aws.errors import TemplateError
from emulators.aws.locked import locked_moto
from emulators.aws.resources import create_resources, create_tables
from emulators.aws.template import read_template
from emulators.clock import TurnedClock

TEMPLATE = read_template(Path(__file__).parent / "fixtures/aws_project/infra/template.json")
CLOCK = TurnedClock()
NOTES = "small-notes"


def moto_client() -> Any:
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture(params=["moto", pytest.param("local", marks=pytest.mark.java)])
def dynamodb(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of a server that holds the template's one table, empty."""
    if request.param == "local":
        client = request.getfixturevalue("dynamodb_local").client()
        create_tables(TEMPLATE, client)
        yield client
        client.delete_table(TableName=NOTES)
        return
    with locked_moto(CLOCK):
        client = moto_client()
        create_tables(TEMPLATE, client)
        yield client


def key(number: str) -> Any:
    return {"id": {"S": number}}


def read(dynamodb: Any, number: str) -> Any:
    return dynamodb.get_item(TableName=NOTES, Key=key(number), ConsistentRead=True).get("Item")


@contextmanager
def unless(code: str) -> Iterator[None]:
    """Leave the block quietly when DynamoDB refuses with ``code``."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise


def race(count: int, work: Callable[[], None]) -> None:
    """Run ``work`` in threads that are switched as often as Python can, and raise what any of them raises."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def one() -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for error in errors:
        raise error


def test_an_item_of_every_type_is_read_back_as_it_was_put(dynamodb: Any) -> None:
    kinds: dict[str, Any] = {
        "S": "é", "N": "1.5", "B": b"\x00", "BOOL": False, "NULL": True, "SS": ["a"], "NS": ["2"], "BS": [b"b"],
        "L": [{"S": ""}, {"N": "3"}, {"L": []}, {"M": {"S": {"S": "S"}}}], "M": {"N": {"N": "4"}, "M": {"M": {}}},
    }  # fmt: skip
    item = key("1") | {f"a {kind}": {kind: value} for kind, value in kinds.items()}
    dynamodb.put_item(TableName=NOTES, Item=item)
    assert read(dynamodb, "1") == item
    assert dynamodb.scan(TableName=NOTES)["Items"] == [item]


def test_the_template_makes_its_tables_and_only_them(dynamodb: Any) -> None:
    assert dynamodb.list_tables()["TableNames"] == [NOTES]
    table = dynamodb.describe_table(TableName=NOTES)["Table"]
    assert table["GlobalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    lifetime = dynamodb.describe_time_to_live(TableName=NOTES)["TimeToLiveDescription"]
    assert lifetime["AttributeName"] == "expires"


def test_no_acknowledged_compare_and_set_is_lost(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=NOTES, Item={**key("count"), "n": {"N": "0"}})
    acknowledged: list[int] = []

    def work() -> None:
        for _ in range(15):
            now = int(read(dynamodb, "count")["n"]["N"])
            with unless("ConditionalCheckFailedException"):
                dynamodb.update_item(
                    TableName=NOTES,
                    Key=key("count"),
                    UpdateExpression="SET n = :new",
                    ConditionExpression="n = :old",
                    ExpressionAttributeValues={":new": {"N": str(now + 1)}, ":old": {"N": str(now)}},
                )
                acknowledged.append(now)

    race(6, work)
    assert len(set(acknowledged)) == len(acknowledged), "no value was replaced twice"
    assert read(dynamodb, "count")["n"]["N"] == str(len(acknowledged))


def test_of_many_that_put_if_absent_one_wins(dynamodb: Any) -> None:
    for turn in range(8):
        won: list[str] = []

        def work(turn: int = turn, won: list[str] = won) -> None:
            mine = uuid.uuid4().hex
            with unless("ConditionalCheckFailedException"):
                dynamodb.put_item(
                    TableName=NOTES,
                    Item={**key(f"prize-{turn}"), "by": {"S": mine}},
                    ConditionExpression="attribute_not_exists(id)",
                )
                won.append(mine)

        race(6, work)
        assert [read(dynamodb, f"prize-{turn}")["by"]["S"]] == won


def transfer(dynamodb: Any, **more: Any) -> None:
    """One from ``a`` to ``b``, if ``a`` has one, and a receipt that must be new."""
    dynamodb.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": NOTES,
                    "Item": key(more.pop("receipt", uuid.uuid4().hex)),
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            },
            {
                "Update": {
                    "TableName": NOTES,
                    "Key": key("b"),
                    "UpdateExpression": "ADD n :one SET seen = :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}},
                }
            },
            {"Delete": {"TableName": NOTES, "Key": key("gone")}},
            {
                "Update": {
                    "TableName": NOTES,
                    "Key": key("a"),
                    "UpdateExpression": "ADD n :less",
                    "ConditionExpression": "n > :zero",
                    "ExpressionAttributeValues": {":less": {"N": "-1"}, ":zero": {"N": "0"}},
                }
            },
        ],
        **more,
    )


def test_a_transaction_that_fails_in_its_last_part_leaves_every_item_as_it_was(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=NOTES, Item={**key("a"), "n": {"N": "0"}})
    dynamodb.put_item(TableName=NOTES, Item={**key("b"), "n": {"N": "5"}})
    dynamodb.put_item(TableName=NOTES, Item={**key("gone"), "text": {"S": "still here"}})
    before = sorted(dynamodb.scan(TableName=NOTES)["Items"], key=str)
    with pytest.raises(ClientError) as caught:
        transfer(dynamodb)
    reasons = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "None", "ConditionalCheckFailed"]
    assert sorted(dynamodb.scan(TableName=NOTES)["Items"], key=str) == before


def test_a_transaction_counts_once_for_one_token(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=NOTES, Item={**key("a"), "n": {"N": "9"}})
    token = uuid.uuid4().hex
    for _ in range(3):
        transfer(dynamodb, ClientRequestToken=token, receipt="one")
    assert read(dynamodb, "a")["n"]["N"] == "8"
    assert read(dynamodb, "b")["n"]["N"] == "1"
    with pytest.raises(ClientError) as caught:
        transfer(dynamodb, ClientRequestToken=token, receipt="two")
    assert caught.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"
    assert read(dynamodb, "a")["n"]["N"] == "8"


def test_transactions_side_by_side_neither_lose_nor_invent(dynamodb: Any) -> None:
    dynamodb.put_item(TableName=NOTES, Item={**key("a"), "n": {"N": "20"}})

    def work() -> None:
        for _ in range(6):
            with unless("TransactionCanceledException"):
                transfer(dynamodb)

    race(6, work)
    left, moved = (int(read(dynamodb, name)["n"]["N"]) for name in ("a", "b"))
    receipts = dynamodb.scan(TableName=NOTES, Select="COUNT")["Count"] - 2
    assert left + moved == 20
    assert receipts == moved


def test_a_transaction_of_a_hundred_reads_is_answered(dynamodb: Any) -> None:
    gets = [{"Get": {"TableName": NOTES, "Key": key(str(n))}} for n in range(100)]
    assert len(dynamodb.transact_get_items(TransactItems=gets)["Responses"]) == 100


INSERT = f"INSERT INTO \"{NOTES}\" VALUE {{'id': ?, 'n': ?, 'text': ?}}"
UPDATE = f'UPDATE "{NOTES}" SET "n"=? REMOVE "text" REMOVE "more" WHERE "id"=? AND "n"=?'


def number(value: int) -> Any:
    return {"N": str(value)}


def insert(name: str, n: int) -> Any:
    return {"Statement": INSERT, "Parameters": [{"S": name}, number(n), {"S": "words"}]}


def update(name: str, n: int, was: int) -> Any:
    return {"Statement": UPDATE, "Parameters": [number(n), {"S": name}, number(was)]}


def codes(answer: Any) -> list[str | None]:
    return [each.get("Error", {}).get("Code") for each in answer["Responses"]]


def test_each_statement_of_a_batch_is_carried_out_or_refused_by_itself(dynamodb: Any) -> None:
    there = dynamodb.batch_execute_statement(Statements=[insert("a", 1), insert("b", 1)])
    assert codes(there) == [None, None]
    answer = dynamodb.batch_execute_statement(Statements=[update("a", 2, 1), insert("b", 9), update("none", 2, 1)])
    assert codes(answer) == [None, "DuplicateItem", "ConditionalCheckFailed"]
    assert codes(dynamodb.batch_execute_statement(Statements=[update("a", 3, 1)])) == ["ConditionalCheckFailed"]
    assert read(dynamodb, "a") == {**key("a"), "n": number(2)}
    assert read(dynamodb, "b") == {**key("b"), "n": number(1), "text": {"S": "words"}}
    assert read(dynamodb, "none") is None


def test_what_is_wrong_with_a_statement_is_told_of_it_or_of_its_batch(dynamodb: Any) -> None:
    elsewhere = {**insert("a", 1), "Statement": INSERT.replace(NOTES, "nowhere")}
    empty = {"Statement": INSERT, "Parameters": [{"S": ""}, number(1), {"S": "words"}]}
    answer = dynamodb.batch_execute_statement(Statements=[elsewhere, empty, insert("b", 1)])
    assert codes(answer) == ["ResourceNotFound", "ValidationError", None]
    for wrong in ([insert("a", 1), insert("a", 1)], [insert(str(n), 1) for n in range(26)]):
        with pytest.raises(ClientError, match="ValidationException"):
            dynamodb.batch_execute_statement(Statements=wrong)


def test_of_updates_side_by_side_one_finds_what_it_expects(dynamodb: Any) -> None:
    dynamodb.batch_execute_statement(Statements=[insert("a", 0)])
    won: list[int] = []

    def work() -> None:
        for was in range(8):
            answer = dynamodb.batch_execute_statement(Statements=[update("a", was + 1, was)])
            won.extend([was] if codes(answer) == [None] else [])

    race(4, work)
    assert sorted(won) == list(range(len(won)))
    assert int(read(dynamodb, "a")["n"]["N"]) == len(won)


def test_moto_refuses_a_statement_that_is_not_read_here() -> None:
    with locked_moto(CLOCK):
        dynamodb = moto_client()
        create_tables(TEMPLATE, dynamodb)
        for text in (f'DELETE FROM "{NOTES}" WHERE "id"=?', f'UPDATE "{NOTES}" SET "n"=1 WHERE "id"=?'):
            with pytest.raises(ClientError, match="not read here"):
                dynamodb.batch_execute_statement(Statements=[{"Statement": text, "Parameters": [{"S": "a"}]}])


def test_motos_memory_of_a_token_ends_by_the_clock_it_is_given() -> None:
    clock = TurnedClock()
    with locked_moto(clock):
        dynamodb = moto_client()
        create_tables(TEMPLATE, dynamodb)
        dynamodb.put_item(TableName=NOTES, Item={**key("a"), "n": {"N": "9"}})
        token = uuid.uuid4().hex
        transfer(dynamodb, ClientRequestToken=token, receipt="one")
        clock.turn(601)
        transfer(dynamodb, ClientRequestToken=token, receipt="two")
        assert read(dynamodb, "a")["n"]["N"] == "7"


def test_motos_queues_follow_the_clock_they_are_given() -> None:
    clock = TurnedClock()
    with locked_moto(clock):
        sqs = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        url = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "300"})["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        clock.turn(901)
        (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        clock.turn(301)
        (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
        assert again["MessageId"] == first["MessageId"]


def test_of_many_receivers_one_gets_a_message() -> None:
    with locked_moto():
        sqs = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        for number in range(30):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
        got: list[str] = []

        def work() -> None:
            while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages"):
                got.extend(message["Body"] for message in found)

        race(6, work)
        assert sorted(got, key=int) == [str(number) for number in range(30)]


def test_what_the_context_put_right_in_moto_it_takes_back() -> None:
    from moto.dynamodb.responses import DynamoHandler

    before = DynamoHandler.call_action
    with locked_moto():
        assert DynamoHandler.call_action is not before
    assert DynamoHandler.call_action is before


def test_a_circle_of_references_is_named() -> None:
    def queue(other: str) -> Any:
        arn = {"Fn::GetAtt": [other, "Arn"]}
        return {"Type": "AWS::SQS::Queue", "Properties": {"RedrivePolicy": {"deadLetterTargetArn": arn}}}

    template = {"Resources": {"A": queue("B"), "B": queue("A")}}
    with pytest.raises(TemplateError, match="A -> B -> A"):
        create_resources(template, lambda service: None, account="1", region="r")
