"""The table adapter against a client that answers by a script: repeats, what is let through, what is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError  # type: ignore[import-untyped]

from chalicelib.adapters.dynamodb.expressions import Piece, arguments
from chalicelib.adapters.dynamodb.statements import Statement
from chalicelib.adapters.dynamodb.table import ATTEMPTS, Refused, Table
from chalicelib.core.errors import FarSide


def refusal(code: str, status: int = 400, **more: Any) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}, "call"
    )


def canceled(*codes: str) -> ClientError:
    return refusal("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


class Scripted:
    """A client that gives these answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), [("", {})][:0]

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def answer(**request: Any) -> Any:
            self.asked.append((call, request))
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return answer


def a_table(client: Scripted) -> tuple[Table, list[float]]:
    pauses: list[float] = []
    return Table(lambda: client, "jobs", pauses.append), pauses


CONDITION = Piece("#n = :was", {"was": 1})


def test_a_write_that_collides_with_a_transaction_is_repeated_after_a_pause() -> None:
    client = Scripted(refusal("TransactionConflictException"), refusal("TransactionConflictException"), {})
    table, pauses = a_table(client)
    assert table.write(table.put({"user": "u", "sk": "s"}, CONDITION)) == {}
    assert len(pauses) == 2
    assert all(0 <= pause <= 1 for pause in pauses)


def test_a_transaction_that_collides_is_repeated_under_a_fresh_token() -> None:
    client = Scripted(canceled("None", "TransactionConflict"), canceled("ThrottlingError", "None"), {})
    table, _ = a_table(client)
    assert table.transact([table.put({"sk": "1"}), table.put({"sk": "2"})]) == ()
    assert len({request["ClientRequestToken"] for _, request in client.asked}) == 3


def test_a_transaction_names_the_writes_whose_conditions_failed_and_is_not_repeated() -> None:
    client = Scripted(canceled("None", "ConditionalCheckFailed", "TransactionConflict"))
    table, pauses = a_table(client)
    assert table.transact([table.put({"sk": str(n)}, CONDITION) for n in range(3)]) == (1,)
    assert pauses == []


def test_collisions_without_an_end_are_a_passing_fault_of_the_far_side() -> None:
    client = Scripted(*[canceled("TransactionConflict")] * ATTEMPTS)
    table, pauses = a_table(client)
    with pytest.raises(FarSide) as caught:
        table.transact([table.put({"sk": "1"})])
    assert (caught.value.service, caught.value.transient) == ("dynamodb", True)
    assert len(pauses) == ATTEMPTS - 1


@pytest.mark.parametrize(
    "answer",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("InternalServerError", 500),
        ConnectTimeoutError(endpoint_url="http://127.0.0.1:1"),
    ],
    ids=["throughput", "throttling", "their fault", "no answer"],
)
def test_what_can_pass_by_itself_is_a_passing_fault_of_the_far_side(answer: Exception) -> None:
    table, _ = a_table(Scripted(answer))
    with pytest.raises(FarSide) as caught:
        table.get({"sk": "1"})
    assert caught.value.transient


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException", "ResourceNotFoundException"])
def test_what_is_our_own_fault_is_let_through_to_crash(code: str) -> None:
    table, _ = a_table(Scripted(*[refusal(code)] * 3))
    with pytest.raises(ClientError):
        table.get({"sk": "1"})
    with pytest.raises(ClientError):
        table.write(table.put({"sk": "1"}, CONDITION))
    with pytest.raises(ClientError):
        table.transact([table.put({"sk": "1"})])


def test_a_transaction_that_is_canceled_for_what_is_our_own_fault_crashes() -> None:
    table, _ = a_table(Scripted(canceled("None", "ValidationError")))
    with pytest.raises(ClientError):
        table.transact([table.put({"sk": "1"}), table.put({"sk": "2"})])


def test_a_condition_that_fails_hands_out_the_item_that_is_there() -> None:
    there = refusal("ConditionalCheckFailedException", Item={"sk": {"S": "1"}, "n": {"N": "2"}})
    table, _ = a_table(Scripted(there, refusal("ConditionalCheckFailedException")))
    assert table.write(table.put({"sk": "1"}, CONDITION)) == Refused({"sk": "1", "n": 2})
    assert table.write(table.put({"sk": "1"}, CONDITION)) == Refused(None)


def test_what_a_batch_leaves_unprocessed_is_asked_for_again_until_nothing_is_left() -> None:
    item, rest = {"sk": {"S": "1"}}, {"jobs": {"Keys": [{"sk": {"S": "2"}}], "ConsistentRead": True}}
    client = Scripted(
        {"Responses": {"jobs": [item]}, "UnprocessedKeys": rest},
        {"Responses": {}, "UnprocessedKeys": rest},
        {"Responses": {"jobs": [{"sk": {"S": "2"}}]}, "UnprocessedKeys": {}},
    )
    table, pauses = a_table(client)
    assert table.get_many([{"sk": "1"}, {"sk": "2"}]) == [{"sk": "1"}, {"sk": "2"}]
    assert [request["RequestItems"] for _, request in client.asked[1:]] == [rest, rest]
    assert len(pauses) == 2


def test_what_a_batch_of_writes_leaves_is_written_again_and_given_up_at_last() -> None:
    rest = {"jobs": [{"DeleteRequest": {"Key": {"sk": {"S": "2"}}}}]}
    client = Scripted({"UnprocessedItems": rest}, {"UnprocessedItems": {}}, *[{"UnprocessedItems": rest}] * ATTEMPTS)
    table, _ = a_table(client)
    table.remove([{"sk": "1"}, {"sk": "2"}])
    assert client.asked[1][1]["RequestItems"] == rest
    with pytest.raises(FarSide):
        table.remove([{"sk": "1"}, {"sk": "2"}])


def done(*codes: str) -> Any:
    return {"Responses": [{"Error": {"Code": code, "Message": ""}} if code else {} for code in codes]}


def some_inserts(table: Table, count: int) -> list[Statement]:
    return [table.insert({"sk": str(n)}) for n in range(count)]


def test_each_of_many_writes_took_place_or_was_refused() -> None:
    client = Scripted(done("", "DuplicateItem", "ConditionalCheckFailed"))
    table, pauses = a_table(client)
    assert table.write_each(some_inserts(table, 3)) == [True, False, False]
    assert table.write_each([]) == []
    assert pauses == []


def test_of_many_writes_those_that_could_not_be_tried_are_tried_again_alone() -> None:
    client = Scripted(
        done("ThrottlingError", "", "TransactionConflict", "DuplicateItem"), done("", "InternalServerError"), done("")
    )
    table, pauses = a_table(client)
    assert table.write_each(some_inserts(table, 4)) == [True, True, True, False]
    asked = [[each["Parameters"] for each in request["Statements"]] for _, request in client.asked]
    assert asked[1:] == [[[{"S": "0"}], [{"S": "2"}]], [[{"S": "2"}]]]
    assert len(pauses) == 2


def test_writes_that_can_never_be_tried_are_given_up_as_a_passing_fault() -> None:
    table, _ = a_table(Scripted(*[done("ThrottlingError")] * ATTEMPTS))
    with pytest.raises(FarSide, match="met other writers"):
        table.write_each(some_inserts(table, 1))


def test_a_statement_that_is_our_own_fault_crashes() -> None:
    table, _ = a_table(Scripted(done("", "ValidationError")))
    with pytest.raises(ClientError, match="ValidationError"):
        table.write_each(some_inserts(table, 2))


def test_statements_say_the_conditions_and_every_attribute_that_must_go() -> None:
    table, _ = a_table(Scripted())
    first = table.insert({"user": "u", "sk": "s", "n": 1, "due": None})
    assert first == Statement(
        "INSERT INTO \"jobs\" VALUE {'user': ?, 'sk': ?, 'n': ?}", [{"S": "u"}, {"S": "s"}, {"N": "1"}]
    )
    key = {"user": "u", "sk": "s"}
    second = table.amend(key, {**key, "n": 2, "d": "x", "due": None}, {"n": 1})
    assert second.text == 'UPDATE "jobs" SET "n"=? SET "d"=? REMOVE "due" WHERE "user"=? AND "sk"=? AND "n"=?'
    assert second.parameters == [{"N": "2"}, {"S": "x"}, {"S": "u"}, {"S": "s"}, {"N": "1"}]


def test_writes_go_by_25_and_reads_by_100() -> None:
    client = Scripted(*[{}] * 3, *[{"Responses": {}}] * 3)
    table, _ = a_table(client)
    table.fill([{"sk": str(n)} for n in range(60)])
    table.get_many([{"sk": str(n)} for n in range(201)])
    sizes = [len(request["RequestItems"]["jobs"]) for call, request in client.asked if call == "batch_write_item"]
    assert sorted(sizes) == [10, 25, 25]
    keys = [len(request["RequestItems"]["jobs"]["Keys"]) for _, request in client.asked[3:]]
    assert sorted(keys) == [1, 100, 100]


def test_only_reads_of_an_index_are_not_strong() -> None:
    client = Scripted({"Items": []}, {"Items": []}, {}, {"Responses": {}})
    table, _ = a_table(client)
    assert list(table.query(Piece("#sk = :sk", {"sk": "1"}))) == []
    assert list(table.query(Piece("#sk = :sk", {"sk": "1"}), index="wake")) == []
    table.get({"sk": "1"})
    table.get_many([{"sk": "1"}])
    strong = [request.get("ConsistentRead") for _, request in client.asked[:3]]
    assert strong == [True, None, True]
    assert client.asked[3][1]["RequestItems"]["jobs"]["ConsistentRead"] is True


def test_a_query_fetches_no_page_that_nobody_asks_for() -> None:
    client = Scripted({"Items": [{"sk": {"S": "1"}}], "LastEvaluatedKey": {"sk": {"S": "1"}}})
    table, _ = a_table(client)
    assert next(table.query(Piece("#sk = :sk", {"sk": "1"}))) == {"sk": "1"}
    assert len(client.asked) == 1


def test_pieces_are_joined_so_that_all_must_hold_and_every_name_is_a_placeholder() -> None:
    made = arguments(
        ConditionExpression=(Piece("#a = :a OR #b = :b", {"a": 1, "b": "x"}), Piece("#user = :u", {"u": "u"}))
    )
    assert made == {
        "ConditionExpression": "(#a = :a OR #b = :b) AND (#user = :u)",
        "ExpressionAttributeNames": {"#a": "a", "#b": "b", "#user": "user"},
        "ExpressionAttributeValues": {":a": {"N": "1"}, ":b": {"S": "x"}, ":u": {"S": "u"}},
    }
    assert arguments(ConditionExpression=()) == {}


def test_two_pieces_may_not_mean_different_things_by_one_name() -> None:
    with pytest.raises(AssertionError, match=":n"):
        arguments(ConditionExpression=(Piece("#a = :n", {"n": 1}), Piece("#b = :n", {"n": 2})))
