"""Sign-ins, terminals, keys, profiles and browser sessions in the DynamoDB table ``logins``.

The items are described in ``login_items``. The index ``owner`` (owner, kind_created; ALL) holds keys and browser
sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from chalicelib.adapters import login_items as items
from chalicelib.adapters.attributes import Item, maybe_stamp, moment, stamp, to_item
from chalicelib.adapters.aws_errors import aws, refused_item
from chalicelib.core.devices import DeviceGrant
from chalicelib.core.ids import UserId
from chalicelib.core.keys import KeyRecord
from chalicelib.core.logins import LoginAttempt, Profile, WebSession

INDEX = "owner"


class LoginTable:
    """``core.ports.logins.LoginStore`` in DynamoDB. ``client`` gives a boto3 DynamoDB client when first needed."""

    def __init__(self, client: Callable[[], Any], table: str) -> None:
        self._client = client
        self._table = table

    # sign-ins

    def put_attempt(self, attempt: LoginAttempt) -> None:
        self._put(items.attempt_item(attempt))

    def take_attempt(self, state_hash: str, browser_hash: str) -> LoginAttempt | None:
        taken = self._take(items.key("L", state_hash), "browser_hash = :browser", {":browser": browser_hash})
        return items.read_attempt(taken) if taken else None

    # terminals

    def put_grant(self, grant: DeviceGrant) -> bool:
        free = self._put(
            items.code_item(grant),
            mine=lambda stored: stored["device_hash"]["S"] == grant.device_hash,
            ConditionExpression="attribute_not_exists(id) OR expires_at <= :now",
            ExpressionAttributeValues=to_item({":now": stamp(grant.created_at)}),
        )
        return free and self._put(items.grant_item(grant))

    def load_grant(self, device_hash: str) -> DeviceGrant | None:
        found = self._get(items.key("D", device_hash))
        return items.read_grant(found) if found else None

    def find_grant(self, user_code: str) -> DeviceGrant | None:
        found = self._get(items.key("C", user_code))
        return self.load_grant(found["device_hash"]["S"]) if found else None

    def note_poll(self, grant: DeviceGrant, *, polls: int) -> bool:
        return self._update(
            items.key("D", grant.device_hash),
            "SET last_poll = :last, polls = :polls, #interval = :interval",
            "polls = :seen",
            {
                ":last": maybe_stamp(grant.last_poll),
                ":polls": grant.polls,
                ":interval": grant.interval,
                ":seen": polls,
            },
            names={"#interval": "interval"},
        )

    def decide_grant(self, grant: DeviceGrant) -> bool:
        return self._update(
            items.key("D", grant.device_hash),
            "SET #state = :state, #user = :user, username = :username",
            "#state = :pending",
            {
                ":state": grant.state,
                ":user": grant.user,
                ":username": grant.username,
                ":pending": "pending",
            },
            names={"#state": "state", "#user": "user"},
        )

    def take_grant(self, device_hash: str) -> DeviceGrant | None:
        taken = self._take(
            items.key("D", device_hash), "#state = :approved", {":approved": "approved"}, {"#state": "state"}
        )
        return items.read_grant(taken) if taken else None

    # keys

    def put_key(self, record: KeyRecord) -> bool:
        return self._put(
            items.key_item(record),
            mine=lambda stored: stored["digest"]["S"] == record.digest,
            ConditionExpression="attribute_not_exists(id)",
        )

    def load_key(self, key_id: str) -> KeyRecord | None:
        found = self._get(items.key("K", key_id))
        return items.read_key(found) if found else None

    def keys_of(self, user: UserId) -> Sequence[KeyRecord]:
        found = [items.read_key(item) for item in self._owned(user, "kind_created < :session")]
        return sorted(found, key=lambda record: record.created_at, reverse=True)

    def _owned(self, user: UserId, which: str) -> Iterator[Item]:
        """The user's items in the index, those before or from the sessions on."""
        query = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": f"#owner = :owner AND {which}",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": to_item({":owner": user, ":session": f"{items.SESSION}#"}),
        }
        while True:
            with aws("dynamodb"):
                page = self._client().query(**query)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def touch_key(self, key_id: str, at: datetime) -> None:
        self._update(items.key("K", key_id), "SET last_used_at = :at", "attribute_exists(id)", {":at": stamp(at)})

    def remove_key(self, key_id: str, user: UserId) -> bool:
        return bool(self._take(items.key("K", key_id), "#owner = :owner", {":owner": user}, {"#owner": "owner"}))

    def note_departure(self, user: UserId, at: datetime) -> None:
        self._put({**items.key("X", user), **to_item({"at": stamp(at), "schema": items.SCHEMA})})

    def departure(self, user: UserId) -> datetime | None:
        found = self._get(items.key("X", user))
        return moment(found["at"]["S"]) if found else None

    # people and browsers

    def load_profile(self, user: UserId) -> Profile | None:
        found = self._get(items.key("U", user))
        return items.read_profile(found) if found else None

    def put_profile(self, profile: Profile) -> None:
        self._put(items.profile_item(profile))

    def put_session(self, session: WebSession) -> None:
        self._put(items.session_item(session))

    def load_session(self, cookie_hash: str) -> WebSession | None:
        found = self._get(items.key("W", cookie_hash))
        return items.read_session(found) if found else None

    def sessions_of(self, user: UserId) -> Sequence[WebSession]:
        return [items.read_session(item) for item in self._owned(user, "kind_created >= :session")]

    def note_miss(self, cookie_hash: str) -> None:
        self._update(items.key("W", cookie_hash), "SET misses = misses + :one", "attribute_exists(id)", {":one": 1})

    def remove_session(self, cookie_hash: str) -> None:
        with aws("dynamodb"):
            self._client().delete_item(TableName=self._table, Key=items.key("W", cookie_hash))

    # counts

    def count(self, key: str, ends: datetime) -> int:
        with aws("dynamodb"):
            answer = self._client().update_item(
                TableName=self._table,
                Key=items.key("R", key),
                UpdateExpression="SET expires_ttl = :ttl, #schema = :schema ADD hits :one",
                ExpressionAttributeNames={"#schema": "schema"},
                ExpressionAttributeValues=to_item({":ttl": items.ttl(ends), ":schema": items.SCHEMA, ":one": 1}),
                ReturnValues="UPDATED_NEW",
            )
        return int(answer["Attributes"]["hits"]["N"])

    # the four calls

    def _get(self, key: Item) -> Item | None:
        with aws("dynamodb"):
            got = self._client().get_item(TableName=self._table, Key=key, ConsistentRead=True)
        found: Item | None = got.get("Item")
        return found

    def _put(self, item: Item, mine: Callable[[Item], bool] | None = None, **condition: Any) -> bool:
        """Put; False if the condition fails. boto3 repeats a call whose answer got lost, and then the item that
        fails the condition is the one just put: ``mine`` tells."""
        from botocore.exceptions import ClientError

        if mine is not None:
            condition["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        try:
            with aws("dynamodb"):
                self._client().put_item(TableName=self._table, Item=item, **condition)
        except ClientError as error:
            stored = refused_item(error)
            if stored is None or mine is None:
                raise
            return bool(stored) and mine(stored)
        return True

    def _update(
        self,
        key: Item,
        expression: str,
        condition: str,
        values: dict[str, Any],
        names: dict[str, str] | None = None,
    ) -> bool:
        """Update; False if the condition fails."""
        return self._conditional("update_item", key, condition, values, names, UpdateExpression=expression) is not None

    def _take(
        self, key: Item, condition: str, values: dict[str, Any], names: dict[str, str] | None = None
    ) -> Item | None:
        """Remove and return the item; None if the condition fails, as it does where there is no item."""
        answer = self._conditional("delete_item", key, condition, values, names, ReturnValues="ALL_OLD")
        return answer.get("Attributes") if answer else None

    def _conditional(
        self,
        call: str,
        key: Item,
        condition: str,
        values: dict[str, Any],
        names: dict[str, str] | None,
        **arguments: Any,
    ) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        if names:
            arguments["ExpressionAttributeNames"] = names
        try:
            with aws("dynamodb"):
                answer: dict[str, Any] = getattr(self._client(), call)(
                    TableName=self._table,
                    Key=key,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=to_item(values),
                    **arguments,
                )
        except ClientError as error:
            if refused_item(error) is None:
                raise
            return None
        return answer
