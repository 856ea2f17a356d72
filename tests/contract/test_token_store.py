"""One contract for every token store: the twin in memory, moto, and DynamoDB Local where there is Java."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from login_stores import each_store, token_stores

from chalicelib.core.ids import UserId
from chalicelib.core.ports.tokens import TokenStore
from chalicelib.core.sessions import Authentication, Session
from chalicelib.core.tokens import Sealed, TokenRecord

NOW = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=UTC)
ADA, BOB = UserId("ada"), UserId("bob")
store = pytest.fixture(params=each_store())(token_stores)


def record(user: UserId = ADA, version: int = 1, **fields: object) -> TokenRecord:
    made = TokenRecord(
        user=user,
        version=version,
        sealed=Sealed(b"\x00\xff sealed"),
        expires_at=NOW + timedelta(hours=48),
        scopes=("openid", "transfer[*a *b]"),
        refresh_used_at=NOW,
        renew_at=NOW + timedelta(hours=45),
        session=Session(authentications=(Authentication(identity=user, username="ada@uni.example", auth_time=NOW),)),
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def test_what_is_stored_is_read_back_to_the_microsecond(store: TokenStore) -> None:
    assert store.load(ADA) is None
    assert store.replace(record(), over=None)
    assert store.load(ADA) == record()


def test_a_record_is_replaced_only_over_the_version_that_was_read(store: TokenStore) -> None:
    assert not store.replace(record(version=5), over=4)
    assert store.replace(record(version=5), over=None)
    assert not store.replace(record(version=9, sealed=Sealed(b"late")), over=None)
    assert not store.replace(record(version=5, sealed=Sealed(b"late")), over=4)
    assert store.load(ADA) == record(version=5)
    assert store.replace(record(version=6), over=5)
    assert store.load(ADA) == record(version=6)


def test_the_same_replacement_sent_twice_succeeds_twice(store: TokenStore) -> None:
    assert store.replace(record(), over=None)
    assert store.replace(record(), over=None)
    assert store.replace(record(version=2), over=1)
    assert store.replace(record(version=2), over=1)


def test_of_many_replacements_at_once_one_wins(store: TokenStore) -> None:
    store.replace(record(), over=None)
    rivals = [record(version=2, sealed=Sealed(bytes([each]))) for each in range(16)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda rival: store.replace(rival, over=1), rivals))
    assert won.count(True) == 1
    assert store.load(ADA) == rivals[won.index(True)]


def test_a_refusal_marks_its_own_version_and_takes_it_off_the_schedule(store: TokenStore) -> None:
    store.replace(record(version=2), over=None)
    assert not store.refuse(ADA, 1)
    assert not store.refuse(BOB, 1)
    assert store.refuse(ADA, 2)
    assert store.load(ADA) == record(version=2, refused=True, renew_at=None)
    assert list(store.due(NOW + timedelta(days=999))) == []
    assert store.load(BOB) is None


def test_a_postponement_holds_for_its_own_version(store: TokenStore) -> None:
    store.replace(record(version=2), over=None)
    later = NOW + timedelta(days=90)
    assert not store.postpone(ADA, 1, later)
    assert store.postpone(ADA, 2, later)
    assert store.load(ADA) == record(version=2, renew_at=later)
    assert list(store.due(later - timedelta(microseconds=1))) == []
    assert list(store.due(later)) == [ADA]


def test_due_finds_all_whose_time_has_come_over_pages(store: TokenStore, small_pages: Callable[[], None]) -> None:
    small_pages()
    users = [UserId(f"user-{each}") for each in range(30)]
    for position, user in enumerate(users):
        store.replace(record(user, renew_at=NOW + timedelta(hours=position)), over=None)
    store.replace(record(renew_at=None), over=None)
    assert sorted(store.due(NOW + timedelta(hours=19))) == sorted(users[:20])


def test_a_removed_record_is_gone_and_removing_again_is_nothing(store: TokenStore) -> None:
    store.replace(record(), over=None)
    assert not store.remove(ADA, record().version + 1)
    assert store.load(ADA) == record()
    assert store.remove(ADA, record().version)
    assert store.remove(ADA, record().version)
    assert store.load(ADA) is None


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr("chalicelib.adapters.token_table._PAGE", 3)
