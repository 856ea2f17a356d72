"""The meter against what Amazon's own DynamoDB Local says that each call consumed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from chalicelib.adapters.attributes import to_item
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.meter import MeteredClient, Uncountable, size_of

TABLE = "metered"
SHOW = {"ReturnConsumedCapacity": "INDEXES"}


@pytest.fixture
def client(dynamodb_local: DynamoDBLocal) -> Iterator[MeteredClient]:
    """A metered client of a table with one index that shows keys and one that shows everything."""
    plain = dynamodb_local.client()
    names = ("user", "sk", "bucket", "due")
    index = [{"AttributeName": "bucket", "KeyType": "HASH"}, {"AttributeName": "due", "KeyType": "RANGE"}]
    plain.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "user", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        GlobalSecondaryIndexes=[
            {"IndexName": "keys", "KeySchema": index, "Projection": {"ProjectionType": "KEYS_ONLY"}},
            {"IndexName": "all", "KeySchema": index, "Projection": {"ProjectionType": "ALL"}},
        ],
    )
    yield MeteredClient(plain)
    plain.delete_table(TableName=TABLE)


class Check:
    """Makes calls, and holds the meter to what the server says of each."""

    def __init__(self, client: MeteredClient) -> None:
        self.client = client
        self.compared = 0

    def __call__(self, call: str, **request: Any) -> Any:
        before = self.client.snapshot()
        answer = getattr(self.client, call)(**request, **SHOW)
        spent = self.client.tally - before
        told = answer["ConsumedCapacity"]
        units = sum(each["CapacityUnits"] for each in (told if isinstance(told, list) else [told]))
        assert spent.writes + spent.reads == units, f"{call} {request}"
        self.compared += 1
        return answer


def an_item(walk: random.Random, number: int) -> dict[str, Any]:
    """An item of up to 9 KB, in an index or not."""
    item: dict[str, Any] = {"user": "u", "sk": f"J#{number}", "x": "é" * walk.choice([0, 10, 400, 1000, 4500])}
    item |= walk.choice([{}, {"n": 17_000_000_000_000_000, "m": -5, "flag": True}, {"deep": [1, "a", {"b": "c"}]}])
    if walk.random() < 0.6:
        item |= {"bucket": walk.choice("ab"), "due": str(walk.randrange(3))}
    return to_item(item)


def key_of(number: int) -> dict[str, Any]:
    return to_item({"user": "u", "sk": f"J#{number}"})


def _put(walk: random.Random, check: Check) -> None:
    check("put_item", TableName=TABLE, Item=an_item(walk, walk.randrange(6)))


def _update(walk: random.Random, check: Check) -> None:
    text, values = walk.choice(
        [
            ("SET x = :x", {":x": {"S": "y" * walk.choice([1, 3000])}}),
            ("SET #b = :b, due = :d", {":b": {"S": walk.choice("ab")}, ":d": {"S": "9"}}),
            ("REMOVE #b", {}),
        ]
    )
    names = {"ExpressionAttributeNames": {"#b": "bucket"}} if "#b" in text else {}
    more = {"ExpressionAttributeValues": values} if values else {}
    check("update_item", TableName=TABLE, Key=key_of(walk.randrange(6)), UpdateExpression=text, **names, **more)


def _delete(walk: random.Random, check: Check) -> None:
    check("delete_item", TableName=TABLE, Key=key_of(walk.randrange(6)))


def _transact(walk: random.Random, check: Check) -> None:
    """Of writes in a transaction that cost the same the server counts one; so here is but one."""
    number = walk.randrange(6)
    change = {"UpdateExpression": "SET n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    write: dict[str, Any] = {"Put": {"TableName": TABLE, "Item": an_item(walk, number)}}
    if walk.random() < 0.5:
        write = {"Update": {"TableName": TABLE, "Key": key_of(number), **change}}
    check("transact_write_items", TransactItems=[write])


def _batch(walk: random.Random, check: Check) -> None:
    """The server counts a batch's removal of nothing twice, and a lone one once; so there is something to remove."""
    one, two = walk.sample(range(6), 2)
    check("put_item", TableName=TABLE, Item=an_item(walk, two))
    writes = [{"PutRequest": {"Item": an_item(walk, one)}}, {"DeleteRequest": {"Key": key_of(two)}}]
    check("batch_write_item", RequestItems={TABLE: writes})


def _get(walk: random.Random, check: Check) -> None:
    check("get_item", TableName=TABLE, Key=key_of(walk.randrange(7)), ConsistentRead=walk.random() < 0.5)


STEPS: tuple[Callable[[random.Random, Check], None], ...] = (_put, _update, _delete, _transact, _batch, _get)


@pytest.mark.java
@pytest.mark.parametrize("seed", range(3))
def test_each_call_of_a_random_walk_costs_what_the_server_says(client: MeteredClient, seed: int) -> None:
    walk, check = random.Random(seed), Check(client)
    for _ in range(120):
        walk.choice(STEPS)(walk, check)
    assert check.compared >= 120


@pytest.mark.java
def test_a_transaction_costs_twice_its_writes(client: MeteredClient) -> None:
    sizes = {"1": 10, "2": 1500, "3": 2500}
    items = [to_item({"user": "u", "sk": f"J#{number}", "x": "x" * size}) for number, size in sizes.items()]
    Check(client)("transact_write_items", TransactItems=[{"Put": {"TableName": TABLE, "Item": each}} for each in items])
    assert client.tally.writes == 2 * (1 + 2 + 3)


@pytest.mark.java
def test_a_page_is_counted_whole_and_a_batch_item_by_item(client: MeteredClient) -> None:
    check, walk = Check(client), random.Random(1)
    for number in range(12):
        check("put_item", TableName=TABLE, Item=an_item(walk, number))
    condition = {"KeyConditionExpression": "#u = :u", "ExpressionAttributeNames": {"#u": "user"}}
    own = {**condition, "ExpressionAttributeValues": {":u": {"S": "u"}}}
    for strong in (True, False):
        check("query", TableName=TABLE, **own, ConsistentRead=strong)
        check("query", TableName=TABLE, **own, ConsistentRead=strong, Limit=5)
        keys = [key_of(number) for number in range(12)]
        check("batch_get_item", RequestItems={TABLE: {"Keys": keys, "ConsistentRead": strong}})
    bucket = {
        "KeyConditionExpression": "#b = :b",
        "ExpressionAttributeNames": {"#b": "bucket"},
        "ExpressionAttributeValues": {":b": {"S": "a"}},
    }
    for index in ("keys", "all"):
        check("query", TableName=TABLE, IndexName=index, **bucket)


class Paraphrased:
    """A client that carries a batch of statements out as the calls that do the same, and adds up what they consumed.

    Of statements the server does not say it.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.told = 0.0

    def __getattr__(self, call: str) -> Any:
        return getattr(self._client, call)

    def batch_execute_statement(self, Statements: list[dict[str, Any]]) -> Any:  # noqa: N803 - boto3's name
        for each in Statements:
            values = each["Parameters"]
            if each["Statement"].startswith("INSERT"):
                names = re.findall(r"'(\w+)': \?", each["Statement"])
                item = dict(zip(names, values, strict=True))
                answer = self._client.put_item(TableName=TABLE, Item=item, **SHOW)
            else:
                answer = self._client.update_item(
                    TableName=TABLE,
                    Key={"user": values[3], "sk": values[4]},
                    UpdateExpression="SET x = :x, #b = :b, due = :d REMOVE n",
                    ExpressionAttributeNames={"#b": "bucket"},
                    ExpressionAttributeValues=dict(zip((":x", ":b", ":d"), values, strict=False)),
                    **SHOW,
                )
            self.told += answer["ConsumedCapacity"]["CapacityUnits"]
        return {"Responses": [{} for _ in Statements]}


@pytest.mark.java
def test_a_statement_costs_what_the_call_that_does_the_same_does(client: MeteredClient) -> None:
    server = Paraphrased(client._client)
    metered, walk = MeteredClient(server), random.Random(5)
    update = f'UPDATE "{TABLE}" SET "x"=? SET "bucket"=? SET "due"=? REMOVE "n" WHERE "user"=? AND "sk"=?'
    for number in range(30):
        item = an_item(walk, number)
        names = ", ".join(f"'{name}': ?" for name in item)
        insert = {"Statement": f'INSERT INTO "{TABLE}" VALUE {{{names}}}', "Parameters": list(item.values())}
        new = [{"S": "y" * walk.choice([1, 3000])}, {"S": walk.choice("ab")}, {"S": "9"}, *key_of(number).values()]
        metered.batch_execute_statement(Statements=[insert])
        assert metered.tally.writes == server.told, insert
        metered.batch_execute_statement(Statements=[{"Statement": update, "Parameters": new}])
        assert metered.tally.writes == server.told, new


@pytest.mark.java
def test_a_refused_statement_costs_what_it_would_have(client: MeteredClient) -> None:
    big = to_item({"user": "u", "sk": "J#1", "x": "x" * 2000})
    client.put_item(TableName=TABLE, Item=big)
    before = client.snapshot()
    insert = f"INSERT INTO \"{TABLE}\" VALUE {{'user': ?, 'sk': ?}}"
    update = f'UPDATE "{TABLE}" SET "x"=? WHERE "user"=? AND "sk"=? AND "x"=?'
    for text, values in ((insert, []), (update, [{"S": "y"}])):
        parameters = [*values, *key_of(1).values(), *values]
        answer = client.batch_execute_statement(Statements=[{"Statement": text, "Parameters": parameters}])
        assert "Error" in answer["Responses"][0]
    spent = client.tally - before
    assert (spent.writes, dict(spent.by_kind)) == (4, {f"{TABLE} J refused": 4})


@pytest.mark.java
def test_what_is_not_there_costs_the_least_which_the_server_forgets(client: MeteredClient) -> None:
    """By the developer guide a query without rows and a key without item cost the least read; the server says 0."""
    nobody = {"KeyConditionExpression": "#u = :u", "ExpressionAttributeNames": {"#u": "user"}}
    client.query(TableName=TABLE, **nobody, ExpressionAttributeValues={":u": {"S": "nobody"}}, ConsistentRead=True)
    client.batch_get_item(RequestItems={TABLE: {"Keys": [key_of(99)]}})
    assert client.tally.reads == 1.5


@pytest.mark.java
def test_a_refused_write_costs_what_it_would_have(client: MeteredClient) -> None:
    big = to_item({"user": "u", "sk": "J#1", "x": "x" * 2000})
    client.put_item(TableName=TABLE, Item=big)
    small = {"TableName": TABLE, "Item": key_of(1), "ConditionExpression": "attribute_not_exists(sk)"}
    before = client.snapshot()
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        client.put_item(**small)
    with pytest.raises(ClientError, match="TransactionCanceled"):
        client.transact_write_items(TransactItems=[{"Put": small}])
    spent = client.tally - before
    assert (spent.writes, dict(spent.by_kind)) == (6, {f"{TABLE} J refused": 6})


def test_what_cannot_be_counted_is_refused() -> None:
    client = MeteredClient(object())
    with pytest.raises(Uncountable, match="scan"):
        client.scan(TableName=TABLE)
    with pytest.raises(Uncountable, match="FilterExpression"):
        client.query(TableName=TABLE, FilterExpression="x = :x")


def test_the_size_of_an_item_is_that_of_its_names_and_values() -> None:
    assert size_of(to_item({"user": "ab", "é": "é", "flag": True})) == 6 + 4 + 5
    assert size_of(to_item({"n": 12345})) == 1 + 4
    assert size_of(to_item({"n": -1200})) == 1 + 3
    assert size_of(to_item({"l": ["a", 1]})) == 1 + 3 + 2 + 3
    assert size_of(to_item({"m": {"k": "v"}})) == 1 + 3 + 3
