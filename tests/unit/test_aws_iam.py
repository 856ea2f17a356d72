"""The policy evaluator: IAM's rules, and that what it cannot judge it does not read."""

from typing import Any

import pytest

from emulators.aws.errors import PolicyError
from emulators.aws.iam import Access, Decision, evaluate, parse_policy

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/jobs"


def judge(statements: Any, action: str = "dynamodb:GetItem", resource: str = TABLE, **context: Any) -> Decision:
    document = {"Version": "2012-10-17", "Statement": statements}
    access = Access(
        action=action, resource=resource, context={key.replace("__", ":"): value for key, value in context.items()}
    )
    return evaluate(parse_policy(document, name="test"), access)


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE, **more}


def test_what_no_statement_allows_is_refused() -> None:
    assert not judge([]).allowed
    assert not judge([allow(Action="dynamodb:PutItem")]).allowed
    assert not judge([allow(Resource=TABLE + "2")]).allowed


def test_an_allowed_action_on_an_allowed_resource_passes() -> None:
    assert judge([allow()]).allowed
    assert judge(allow()).allowed, "one statement need not be a list"


def test_a_deny_wins_over_any_allow_and_says_so() -> None:
    decision = judge([allow(), allow(Effect="Deny", Action="dynamodb:*")])
    assert decision == Decision(allowed=False, explicit_deny=True)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("dynamodb:*", True),
        ("dynamodb:Get*", True),
        ("DynamoDB:getitem", True),
        ("dynamodb:Ge?Item", True),
        ("dynamodb:G", False),
        ("*", True),
    ],
)
def test_actions_match_by_wildcards_whatever_their_case(pattern: str, matches: bool) -> None:
    assert judge([allow(Action=["kms:Decrypt", pattern])]).allowed is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*", True),
        (TABLE.replace("jobs", "j*"), True),
        (TABLE + "/index/*", False),
        (TABLE.upper(), False),
        (TABLE.replace(".", "x"), True),
        (TABLE.replace("dynamodb", "dynamo.b"), False),
    ],
)
def test_resources_match_by_wildcards_in_their_own_case(pattern: str, matches: bool) -> None:
    assert judge([allow(Resource=pattern)]).allowed is matches


def test_an_index_is_a_resource_of_its_own() -> None:
    index = TABLE + "/index/by-site"
    assert not judge([allow()], resource=index).allowed
    assert judge([allow(Resource=[TABLE, TABLE + "/index/*"])], resource=index).allowed


def test_not_action_and_not_resource_turn_the_match_round() -> None:
    statement = {"Effect": "Allow", "NotAction": "dynamodb:DeleteItem", "NotResource": TABLE + "-secret"}
    assert judge([statement]).allowed
    assert not judge([statement], action="dynamodb:DeleteItem").allowed
    assert not judge([statement], resource=TABLE + "-secret").allowed


USER, KEYS = "kms:encryptioncontext:user", "kms:encryptioncontextkeys"


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"kms:EncryptionContext:user": "ann"}}, {USER: ("ann",)}, True),
        ({"StringEquals": {"kms:EncryptionContext:user": "ann"}}, {USER: ("bob",)}, False),
        ({"StringEquals": {"kms:EncryptionContext:user": ["ann", "bob"]}}, {USER: ("bob",)}, True),
        ({"StringEquals": {"kms:EncryptionContext:user": "ann"}}, {}, False),
        ({"StringEqualsIfExists": {"kms:EncryptionContext:user": "ann"}}, {}, True),
        ({"StringEqualsIfExists": {"kms:EncryptionContext:user": "ann"}}, {USER: ("bob",)}, False),
        ({"StringNotEquals": {"kms:EncryptionContext:user": "ann"}}, {}, True),
        ({"StringNotEquals": {"kms:EncryptionContext:user": "ann"}}, {USER: ("ann",)}, False),
        ({"StringEquals": {"kms:EncryptionContext:user": "ANN"}}, {USER: ("ann",)}, False),
        ({"StringEqualsIgnoreCase": {"kms:EncryptionContext:user": "ANN"}}, {USER: ("ann",)}, True),
        ({"StringLike": {"kms:EncryptionContext:user": "a*"}}, {USER: ("ann",)}, True),
        ({"StringLike": {"kms:EncryptionContext:user": "*"}}, {}, False),
        ({"StringNotLike": {"kms:EncryptionContext:user": "a*"}}, {USER: ("ann",)}, False),
        ({"Null": {"kms:EncryptionContext:user": "false"}}, {USER: ("ann",)}, True),
        ({"Null": {"kms:EncryptionContext:user": False}}, {}, False),
        ({"Null": {"kms:EncryptionContext:user": True}}, {}, True),
        ({"Bool": {"aws:SecureTransport": True}}, {"aws:securetransport": ("true",)}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": ("true",)}, False),
        ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["user"]}}, {KEYS: ("user",)}, True),
        ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["user"]}}, {KEYS: ("user", "job")}, False),
        ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["user"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["user"]}}, {KEYS: ("user", "job")}, True),
        ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": ["user"]}}, {}, False),
        ({"ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": ["user"]}}, {}, False),
        (
            {
                "StringEquals": {"kms:EncryptionContext:user": "ann"},
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["user"]},
            },
            {USER: ("ann",), KEYS: ("user", "job")},
            False,
        ),
    ],
)
def test_conditions_hold_as_in_iam(condition: Any, context: dict[str, tuple[str, ...]], holds: bool) -> None:
    document = {"Version": "2012-10-17", "Statement": [allow(Condition=condition)]}
    access = Access(action="dynamodb:GetItem", resource=TABLE, context=context)
    assert evaluate(parse_policy(document, name="test"), access).allowed is holds


def test_an_arn_condition_matches_part_by_part() -> None:
    statement = allow(Condition={"ArnLike": {"kms:ViaService": "arn:aws:sqs:*:1:q*"}})
    assert judge([statement], kms__viaservice=("arn:aws:sqs:us-east-1:1:queue",)).allowed
    assert not judge([statement], kms__viaservice=("arn:aws:sqs:us-east-1:2:1:queue",)).allowed


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"Effect": "Permit"}, "Effect"),
        ({"Action": None}, "expected a string"),
        ({"NotAction": "s3:*"}, "exactly one of Action"),
        ({"Principal": "*"}, "Principal"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01"}}}, "DateLessThan"),
        ({"Condition": {"StringEquals": {"aws:SourceIp": "10.0.0.1"}}}, "aws:SourceIp"),
        ({"Condition": {"ForSomeValues:StringEquals": {"aws:RequestedRegion": "x"}}}, "ForSomeValues"),
        ({"Condition": {"StringEquals": {"aws:RequestedRegion": 7}}}, "expected strings"),
    ],
)
def test_a_policy_that_cannot_be_judged_is_not_read(broken: dict[str, Any], named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        judge([allow(**broken)])


def test_an_unknown_version_or_element_is_not_read() -> None:
    with pytest.raises(PolicyError, match="Version"):
        parse_policy({"Version": "2008-10-17", "Statement": []}, name="old")
    with pytest.raises(PolicyError, match="Statements"):
        parse_policy({"Version": "2012-10-17", "Statements": []}, name="misspelt")
