"""The template of the tables: what the stores and the deployment rely on, and what only AWS would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters import login_table, token_table

TEMPLATE: Any = json.loads((Path(__file__).parents[2] / "infra/template.json").read_text())
RESOURCES = TEMPLATE["Resources"]
TABLES = ("JobsTable", "TokensTable", "LoginsTable", "PlacesTable")


def keys(schema: list[dict[str, str]]) -> tuple[str, ...]:
    return tuple(key["AttributeName"] for key in schema)


def indexes(table: str) -> dict[str, tuple[tuple[str, ...], str]]:
    found = RESOURCES[table]["Properties"].get("GlobalSecondaryIndexes", ())
    return {each["IndexName"]: (keys(each["KeySchema"]), each["Projection"]["ProjectionType"]) for each in found}


def test_the_keys_are_those_that_the_stores_write() -> None:
    assert {name: keys(RESOURCES[name]["Properties"]["KeySchema"]) for name in TABLES} == {
        "JobsTable": ("user", "sk"),
        "TokensTable": ("user",),
        "LoginsTable": ("id",),
        "PlacesTable": ("kind", "id"),
    }
    assert indexes("JobsTable") == {
        "wake": (("wake_shard", "wake_due"), "KEYS_ONLY"),
        "site": (("site_bucket", "site_due"), "KEYS_ONLY"),
    }
    assert indexes("TokensTable") == {token_table.INDEX: (("renew_shard", "renew_at"), "KEYS_ONLY")}
    assert indexes("LoginsTable") == {login_table.INDEX: (("owner", "kind_created"), "ALL")}
    assert indexes("PlacesTable") == {}


def test_what_expires_is_tidied_up_by_the_attribute_that_the_stores_write() -> None:
    lifetimes = {
        name: RESOURCES[name]["Properties"].get("TimeToLiveSpecification", {}).get("AttributeName") for name in TABLES
    }
    assert lifetimes == {
        "JobsTable": "expires",
        "TokensTable": None,
        "LoginsTable": "expires_ttl",
        "PlacesTable": None,
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_paid_by_use_backed_up_and_outlives_its_stack(name: str) -> None:
    table = RESOURCES[name]
    assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("name", TABLES)
def test_every_defined_attribute_is_a_key_as_dynamodb_demands(name: str) -> None:
    used = {*keys(RESOURCES[name]["Properties"]["KeySchema"]), *(k for pair, _ in indexes(name).values() for k in pair)}
    assert {each["AttributeName"] for each in RESOURCES[name]["Properties"]["AttributeDefinitions"]} == used


def test_a_ring_stays_hidden_for_six_times_what_its_reconcile_may_take() -> None:
    queue = RESOURCES["WakeQueue"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * 120
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5


def test_the_template_holds_no_secret() -> None:
    assert set(RESOURCES["GlobusClientSecret"]["Properties"]) == {"Description"}
    assert RESOURCES["TokenKey"]["Properties"]["EnableKeyRotation"] is True
