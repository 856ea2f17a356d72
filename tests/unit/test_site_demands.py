"""What a site demands of its submitters: at submission, at lease, on the job, and how it is changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from chalice.test import Client
from job_rooms import APP, Rooms, owner_of
from loop_house import ADA, BOB, THETA, House, a_caller, a_document

from chalicelib.adapters.memory.rows import JobRow
from chalicelib.core.errors import Conflict, Forbidden, Invalid, LoginNeeded, NotFound, TooMany
from chalicelib.core.ids import SiteId, UserId
from chalicelib.core.job import Stage, State
from chalicelib.core.keys import Caller
from chalicelib.core.logins import Profile
from chalicelib.core.ports.jobs import Wanted
from chalicelib.core.sessions import Authentication, Session
from chalicelib.core.site_demands import Demands
from chalicelib.core.sites import changed_site, read_site
from chalicelib.service.doors import Doors
from chalicelib.service.keys import Keys
from chalicelib.service.sites import MOST_SITES, ManageSites

STRICT = Demands(domains=("alcf.anl.gov",), mfa=True, signed_in_within=60)


@pytest.fixture
def house() -> House:
    return House()


def demand(house: House, demands: Demands) -> None:
    site = house.sites.get(THETA)
    assert site is not None
    assert house.sites.change(replace(site, demands=demands), was=site)


def signed_in(
    house: House,
    caller: Caller = ADA,
    *,
    by: str = "ada@alcf.anl.gov",
    mfa: bool = True,
    at: datetime | None = None,
) -> None:
    """A login's profile, with one authentication."""
    moment = at or house.clock.now()
    found = Authentication(identity=UserId("linked"), username=by, auth_time=moment, mfa=mfa)
    house.logins.put_profile(
        Profile(
            user=caller.user,
            username=caller.username,
            name="Ada",
            email="",
            auth_time=moment,
            scopes=("openid",),
            identities=(caller.user,),
            signed_in_at=moment,
            session=Session(authentications=(found,)),
        )
    )


def plain(name: str = "job") -> dict[str, Any]:
    """A job that needs nothing of Globus, so that only its site decides."""
    return a_document(name, source=None, results=False)


def leased(house: House) -> list[int]:
    """The jobs that the site's agent is given by a call that takes ten."""
    house.rows.catch_up()
    return sorted(lease.job.ref.number for lease in house.agent.call(take=10).leases)


# at submission


@pytest.mark.parametrize(
    ("demands", "login"),
    [
        (Demands(domains=("alcf.anl.gov", "anl.gov")), {"single_domain": ("alcf.anl.gov", "anl.gov"), "mfa": False}),
        (Demands(mfa=True), {"single_domain": (), "mfa": True}),
        (Demands(signed_in_within=60), {"single_domain": (), "mfa": False}),
        (STRICT, {"single_domain": ("alcf.anl.gov",), "mfa": True}),
    ],
    ids=["domain", "mfa", "age", "all"],
)
def test_a_sign_in_that_is_not_what_the_site_demands_is_refused_with_the_login_that_is(
    house: House, demands: Demands, login: dict[str, Any]
) -> None:
    demand(house, demands)
    signed_in(house, by="ada@uni.example", mfa=False, at=house.clock.now() - timedelta(hours=2))
    with pytest.raises(LoginNeeded) as needed:
        house.post(plain())
    session = needed.value.session
    assert {"single_domain": session.single_domain, "mfa": session.mfa} == login
    assert session.fresh, "a sign-in that stands is the one that did not do"
    assert needed.value.user == ADA.user
    assert demands.words() in needed.value.detail
    assert house.rows.jobs == {}
    signed_in(house)
    assert house.post(plain()) == [1001]


def test_one_authentication_must_meet_all_of_it(house: House) -> None:
    demand(house, STRICT)
    signed_in(house, by="ada@alcf.anl.gov", mfa=False)
    with pytest.raises(LoginNeeded):
        house.post(plain())
    signed_in(house, by="ada@uni.example", mfa=True)
    with pytest.raises(LoginNeeded):
        house.post(plain())


def test_who_never_signed_in_is_asked_to(house: House) -> None:
    demand(house, Demands(mfa=True))
    with pytest.raises(LoginNeeded):
        house.post(plain())


def test_a_key_that_was_made_for_too_long_is_refused_with_the_figure_and_the_cure(house: House) -> None:
    demand(house, Demands(key_life=7))
    month, week = replace(ADA, life=timedelta(days=30)), replace(ADA, life=timedelta(days=7))
    with pytest.raises(Forbidden, match=r"at most 7 days, and this one was made for 30.*--days 7") as refused:
        house.post(plain(), caller=month)
    assert refused.value.code == "key-too-long-lived"
    assert house.post(plain(), caller=week) == [1001]


def test_a_site_that_demands_nothing_reads_no_profile(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(house, monkeypatch)
    house.doors.check(ADA, [site for site in [house.sites.get(THETA)] if site], house.clock.now())
    demand(house, Demands(key_life=366))
    house.doors.check(ADA, [site for site in [house.sites.get(THETA)] if site], house.clock.now())
    assert asked == []


def test_a_repeat_of_a_post_that_was_taken_is_answered_though_the_sign_in_has_aged(house: House) -> None:
    demand(house, Demands(signed_in_within=60))
    signed_in(house)
    first = house.post(plain(), key="k")
    house.clock.turn(hours=2)
    assert house.post(plain(), key="k") == first
    with pytest.raises(LoginNeeded):
        house.post(plain(), key="another")


def test_a_job_is_altered_and_tried_again_only_through_the_same_door(house: House) -> None:
    demand(house, Demands(signed_in_within=60, key_life=7))
    signed_in(house)
    (number,) = house.post(plain())
    month = replace(ADA, life=timedelta(days=30))
    with pytest.raises(Forbidden):
        house.manage.alter(month, number, {"arguments": ["x"]})
    house.clock.turn(hours=2)
    with pytest.raises(LoginNeeded):
        house.manage.alter(ADA, number, {"arguments": ["x"]})
    job = house.job(number)
    failed = replace(
        job, state=State.FAILED, failed_stage=Stage.STAGE_IN, error="x", posted=None, version=job.version + 1
    )
    with house.rows.writing():
        house.rows.put_job(JobRow(failed, None))
    with pytest.raises(LoginNeeded):
        house.manage.retry(ADA, number)
    signed_in(house)
    assert not house.manage.retry(ADA, number).job.state.final
    assert house.manage.alter(ADA, number, {"arguments": ["x"]}).job.revision == 2


# at the lease


def counted(house: House, monkeypatch: pytest.MonkeyPatch) -> list[UserId]:
    """Whose profiles are read from now on."""
    asked: list[UserId] = []
    whole = house.logins.load_profile

    def load(user: UserId) -> Profile | None:
        asked.append(user)
        return whole(user)

    monkeypatch.setattr(house.logins, "load_profile", load)
    return asked


def test_a_job_whose_owner_no_longer_meets_the_demands_is_not_leased_and_is_after_the_sign_in(house: House) -> None:
    demand(house, Demands(signed_in_within=60))
    signed_in(house)
    (number,) = house.post(plain())
    house.answer_rings()
    house.clock.turn(minutes=61)
    assert leased(house) == []
    assert house.job(number).state == "staged"
    signed_in(house)
    assert leased(house) == [number]


def test_a_job_that_waits_at_the_door_says_so_with_the_link(house: House) -> None:
    demand(house, STRICT)
    signed_in(house)
    (number,) = house.post(plain())
    house.answer_rings()
    seen = house.manage.show(ADA, number)
    assert seen.door is None
    house.clock.turn(minutes=61)
    seen = house.manage.show(ADA, number)
    assert seen.door is not None
    assert (seen.door.session.single_domain, seen.door.session.mfa) == (("alcf.anl.gov",), True)
    assert seen.door.for_user == ADA.user
    (listed,) = house.manage.page(ADA, Wanted(), 10, None)[0]
    assert listed.door == seen.door
    house.manage.hold(ADA, number)
    assert house.manage.show(ADA, number).door is None, "it waits for its release and no login helps"


def test_jobs_that_are_kept_back_keep_nobody_waiting_and_each_profile_is_read_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand(house, Demands(signed_in_within=60))
    for caller in (ADA, BOB):
        signed_in(house, caller)
    for n in range(40):
        house.post(plain(f"a{n}"))
    house.answer_rings()
    house.clock.turn(minutes=61)
    signed_in(house, BOB)
    bobs = house.post(plain("b1"), plain("b2"), caller=BOB)
    house.answer_rings()
    asked = counted(house, monkeypatch)
    house.rows.catch_up()
    answer = house.agent.call(take=5)
    assert [(lease.job.ref.user, lease.job.ref.number) for lease in answer.leases] == [
        (BOB.user, number) for number in bobs
    ]
    assert sorted(asked) == sorted([ADA.user, BOB.user])


def test_a_lease_that_was_given_goes_on_when_the_sign_in_ages(house: House) -> None:
    demand(house, Demands(signed_in_within=60))
    signed_in(house)
    (number,) = house.post(plain())
    house.live_on(5)
    house.clock.turn(hours=2)
    assert house.job(number).state == "completed"


# how it is said and changed


DOCUMENT = {
    "id": "theta2",
    "scheduler": "cobalt",
    "mappings": [{"collection": "aaaaaaaa-0000-4000-8000-000000000001", "path": "/a/", "directory": "/b"}],
}


def test_demands_are_read_shown_and_changed_alone(house: House) -> None:
    asked = {"domains": ["anl.gov"], "mfa": True, "signed_in_within": 60, "key_life": 7}
    site = read_site({**DOCUMENT, "demands": asked}, ADA.user, house.clock.now())
    assert site.demands == Demands(domains=("anl.gov",), mfa=True, signed_in_within=60, key_life=7)
    only_mfa = changed_site(site, {"demands": {"mfa": True}})
    assert only_mfa == replace(site, demands=Demands(mfa=True))
    assert changed_site(only_mfa, {"demands": None}) == replace(site, demands=Demands())
    titled = changed_site(site, {"title": "Theta", "users": ["bob"], "defaults": {"account": "chem"}, "roots": ["/x"]})
    assert (titled.title, titled.users, titled.account, titled.roots) == ("Theta", {"bob"}, "chem", ("/x/",))
    assert (titled.demands, titled.mappings) == (site.demands, site.mappings)


@pytest.mark.parametrize(
    ("demands", "pointer"),
    [
        ({"domains": ["ANL.gov"]}, "/demands/domains/0"),
        ({"domains": "anl.gov"}, "/demands/domains"),
        ({"mfa": 1}, "/demands/mfa"),
        ({"signed_in_within": 0}, "/demands/signed_in_within"),
        ({"key_life": 367}, "/demands/key_life"),
        ({"colour": "red"}, "/demands/colour"),
        ([], "/demands"),
    ],
)
def test_demands_that_make_no_sense_are_refused_by_name(house: House, demands: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_site({**DOCUMENT, "demands": demands}, ADA.user, house.clock.now())
    assert [fault.pointer for fault in refused.value.faults] == [pointer]


@pytest.mark.parametrize("raw", [{}, [], None, {"mappings": []}, {"id": "x", "title": "y"}, {"demands": {"mfa": "no"}}])
def test_what_cannot_be_changed_is_refused(house: House, raw: Any) -> None:
    site = house.sites.get(THETA)
    assert site is not None
    with pytest.raises(Invalid):
        changed_site(site, raw)


def test_only_the_owner_changes_a_site_and_to_strangers_there_is_none(house: House) -> None:
    sites = owner_of(house)
    assert sites.change(ADA, THETA, {"demands": {"mfa": True}}).demands == Demands(mfa=True)
    stored = house.sites.get(THETA)
    assert stored is not None
    assert stored.demands == Demands(mfa=True)
    with pytest.raises(Forbidden):
        sites.change(BOB, THETA, {"demands": None})
    stranger = a_caller(UserId("33333333-3333-4333-8333-333333333333"), "eve@evil.example", "jobs")
    for name in (THETA, SiteId("nowhere")):
        with pytest.raises(NotFound):
            sites.change(stranger, name, {"demands": None})


def test_of_two_changes_at_once_the_second_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sites, whole = owner_of(house), house.sites.change

    def slow(site: Any, *, was: Any) -> bool:
        assert whole(replace(was, title="first"), was=was)
        return whole(site, was=was)

    monkeypatch.setattr(house.sites, "change", slow)
    with pytest.raises(Conflict, match="at the same moment"):
        sites.change(ADA, THETA, {"title": "second"})


# over HTTP


@pytest.fixture
def http(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("chalicelib.wiring.services", lambda: Rooms(house))
    with Client(APP) as client:
        yield client


def test_the_refusal_and_the_waiting_job_bear_a_link_that_satisfies_the_site(http: Client, house: House) -> None:
    json = {"Content-Type": "application/json"}
    body = b'{"demands": {"domains": ["alcf.anl.gov"], "mfa": true, "signed_in_within": 60}}'
    changed = http.http.patch(f"/v1/sites/{THETA}", headers=json, body=body)
    assert changed.status_code == 200
    assert changed.json_body["demands"]["domains"] == ["alcf.anl.gov"]
    document = b'{"site": "%s", "executable": "/bin/true"}' % THETA.encode()
    link = f"https://q.example/api/login?for={ADA.user}&domain=alcf.anl.gov&mfa=1&fresh=1"
    refused = http.http.post("/v1/jobs", headers=json, body=document)
    assert (refused.status_code, refused.json_body["login_url"]) == (403, link)
    assert (
        "by an identity of alcf.anl.gov, with a second factor, not longer ago than 60 minutes"
        in (refused.json_body["detail"])
    )
    signed_in(house)
    assert http.http.post("/v1/jobs", headers=json, body=document).status_code == 201
    house.answer_rings()
    house.agent.call()
    house.clock.turn(minutes=61)
    house.agent.call()
    for job in (http.http.get("/v1/jobs/1001").json_body, http.http.get("/v1/jobs").json_body["jobs"][0]):
        assert (job["state"], job["waiting_for"], job["login_url"]) == ("staged", ["login"], link)


def test_doors_ask_for_all_that_was_consented_to(house: House) -> None:
    demand(house, Demands(mfa=True))
    signed_in(house, mfa=False)
    profile = house.logins.load_profile(ADA.user)
    assert profile is not None
    collection = "aaaaaaaa-0000-4000-8000-000000000001"
    scopes = (f"urn:x[*https://auth.globus.org/scopes/{collection}/data_access]",)
    house.logins.put_profile(replace(profile, scopes=scopes))
    site = house.sites.get(THETA)
    waits = Doors(profiles=house.logins).waits(ADA.user, [site], house.clock.now())
    assert waits[THETA].collections == (collection,)


def test_an_owner_has_so_many_sites_and_no_more(house: House) -> None:
    keys = Keys(store=house.logins, entropy=secrets.token_bytes)
    sites = ManageSites(sites=house.sites, keys=keys, clock=house.clock)
    for number in range(MOST_SITES - 1):
        sites.register(ADA, {**DOCUMENT, "id": f"site-{number}"}, None)
    with pytest.raises(TooMany, match=f"You own {MOST_SITES} sites"):
        sites.register(ADA, {**DOCUMENT, "id": "one-more"}, None)
    house.clock.turn(seconds=1)
    with pytest.raises(Conflict):
        sites.register(ADA, {**DOCUMENT, "id": "site-0"}, None)
    assert sites.register(BOB, {**DOCUMENT, "id": "one-more"}, None).token is not None
