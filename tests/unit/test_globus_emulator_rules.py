"""The rules of the Globus emulator that need no server: scopes, queries, filters, paths, pace, configuration."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from globus_sdk.scopes import ScopeParser
from hypothesis import assume, given
from hypothesis import strategies as st

from emulators.globus import query
from emulators.globus.config import Client, Collection, Settings, default_config
from emulators.globus.config_file import ConfigError, load_config
from emulators.globus.errors import TransferRefusal
from emulators.globus.limits import RateMeter
from emulators.globus.pace import Pace
from emulators.globus.people import People, redirect_allowed
from emulators.globus.roots import RESERVED, OutsideError, Root, parts_of
from emulators.globus.scanning import included
from emulators.globus.scopes import Scope, ScopeCatalog, ScopeError, UnknownScopeError, parse
from emulators.globus.signing import challenge_of
from emulators.globus.task_models import FilterRule

# -- scopes ------------------------------------------------------------------------------------------------

words = st.text("abc:/._-", min_size=1, max_size=6)
scopes = st.recursive(
    st.builds(lambda name, optional: Scope(name=name, optional=optional), words, st.booleans()),
    lambda below: st.builds(
        lambda name, optional, deps: Scope(name=name, optional=optional, dependents=tuple(deps)),
        words,
        st.booleans(),
        st.lists(below, max_size=3, unique_by=lambda scope: scope.name),
    ),
    max_leaves=6,
)


def written(scope: Scope) -> str:
    inner = " ".join(written(each) for each in scope.dependents)
    return f"{'*' if scope.optional else ''}{scope.name}{f'[{inner}]' if inner else ''}"


@given(scopes)
def test_a_scope_that_is_written_is_read_back(scope: Scope) -> None:
    assert parse(written(scope)) == (scope,)


@given(scopes)
def test_scopes_are_read_as_the_sdk_reads_them(scope: Scope) -> None:
    names = [path[-1] for path, _ in scope.paths()]
    assume(len(names) == len({*names}))  # the SDK joins equal names wherever they stand, and refuses cycles
    (theirs,) = ScopeParser.parse(written(scope))
    assert theirs.scope_string == scope.name
    assert {each.scope_string for each in theirs.dependencies} == {each.name for each in scope.dependents}


@pytest.mark.parametrize("text", ["a[", "a]", "[b]", "a[b", "a[b]]", "*", "a**b["])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ScopeError):
        parse(text)


def test_data_access_exists_for_plain_mapped_collections_only() -> None:
    lab, guest = Collection(name="lab"), Collection(name="guest", kind="guest")
    strict, laptop = Collection(name="strict", high_assurance=True), Collection(name="laptop", kind="personal")
    catalog = ScopeCatalog((lab, guest, strict, laptop), ())
    asked = "urn:globus:auth:scope:transfer.api.globus.org:all[https://auth.globus.org/scopes/{}/data_access]"
    assert catalog.expand(parse(asked.format(lab.id)))
    for other in (guest, strict, laptop):
        with pytest.raises(UnknownScopeError):
            catalog.expand(parse(asked.format(other.id)))


def test_the_pkce_challenge_is_that_of_the_standard() -> None:
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# -- clients -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("http://127.0.0.1:8000/api/callback", True),
        ("http://127.0.0.1/api/callback", True),
        ("http://127.0.0.1:8000/api/callback/more", False),
        ("http://127.0.0.1:8000@evil.example/api/callback", False),
        ("http://127.0.0.1.evil.example:80/api/callback", False),
        ("https://127.0.0.1:8000/api/callback", False),
        ("http://127.0.0.1:800000/api/callback", False),
        ("", False),
    ],
)
def test_the_star_of_a_redirect_uri_stands_for_a_port_only(uri: str, allowed: bool) -> None:
    client = Client(name="app", redirect_uris=("http://127.0.0.1:*/api/callback",))
    assert redirect_allowed(client, uri) is allowed


def test_secrets_are_random_unless_given_and_never_shown() -> None:
    first, second = (People(default_config()).client_named("qstage") for _ in range(2))
    assert first.id == second.id
    assert first.secret is not None
    assert first.secret != second.secret
    assert first.secret not in repr(first)


# -- queries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text", "found"),
    [
        (["~*.txt"], "A.TXT", True),
        (["~*.txt"], "a.dat", False),
        (["a", "b"], "b", True),
        (["=a"], "ab", False),
        (["!a"], "b", True),
        (["!~a*"], "Abc", False),
        (["~a*", "!abc"], "abc", False),
        (["~a*", "!abc"], "abd", True),
    ],
)
def test_names_match_by_operators(values: list[str], text: str, found: bool) -> None:
    assert query.named(values, text) is found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["2024-01-01 00:00:00", ""], True),
        (["", "2024-01-01"], False),
        (["2024-05-31", "2024-06-02"], True),
        (["2024-07-01"], False),
    ],
)
def test_times_match_by_ranges_with_open_sides(values: list[str], found: bool) -> None:
    assert query.in_time(values, "2024-06-01T00:00:00+00:00") is found


def test_a_filter_without_a_key_or_with_an_unknown_one_is_refused() -> None:
    assert query.clauses("task_id:a,b/label:~x:y") == [("task_id", ["a", "b"]), ("label", ["~x:y"])]
    with pytest.raises(TransferRefusal):
        query.clauses("nonsense")
    with pytest.raises(TransferRefusal):
        query.passes({"a": 1}, [("b", ["1"])], {"a": query.one_of})


def test_documents_are_ordered_by_several_fields_with_nulls_first() -> None:
    rows = [{"a": 2, "b": None}, {"a": 1, "b": 3}, {"a": 2, "b": 1}]
    assert query.ordered(rows, "a DESC,b", ("a", "b")) == [rows[0], rows[2], rows[1]]
    with pytest.raises(TransferRefusal):
        query.ordered(rows, "c", ("a",))


def test_the_first_matching_rule_decides() -> None:
    rules = (
        FilterRule(method="include", name="keep*"),
        FilterRule(method="exclude", name="*", type="file"),
    )
    assert included(rules, "keep.me", is_directory=False)
    assert not included(rules, "other", is_directory=False)
    assert included(rules, "other", is_directory=True)


def test_the_meter_forgets_what_is_older_than_its_window_and_counts_each_user_apart() -> None:
    meter = RateMeter(Settings(rate_per_second=2, rate_window=3))
    for moment in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5):
        meter.count("ada", moment)
    meter.count("bob", 2.6)
    with pytest.raises(TransferRefusal) as refused:
        meter.count("ada", 2.9)
    assert refused.value.headers["Retry-After"] == "1"
    meter.count("ada", 3.1)


def test_only_the_pace_by_clock_takes_time() -> None:
    assert Pace.by_clock(scale=10).seconds(5) == 0.5
    assert Pace.at_once().seconds(5) == Pace.by_poll(2).seconds(5) == 0
    with pytest.raises(ValueError, match="above zero"):
        Pace.by_clock(scale=0)


# -- paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/", ()),
        ("/a//b/./c/", ("a", "b", "c")),
        ("/a/../b", ("b",)),
        ("/~/x", ("home", "x")),
        ("~/x", ("home", "x")),
        ("x", ("home", "x")),
        ("/a/~", ("a", "~")),
        ("/%2e%2e/x", ("%2e%2e", "x")),
    ],
)
def test_paths_are_read_from_the_root_or_the_default_directory(path: str, parts: tuple[str, ...]) -> None:
    assert parts_of(path, "/home") == parts


@pytest.mark.parametrize("path", ["/..", "/a/../..", "~/../../x", "/../a"])
def test_a_path_above_the_root_is_outside(path: str) -> None:
    with pytest.raises(OutsideError):
        parts_of(path, "/home")


def test_a_link_is_followed_inside_and_refused_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_text("x")
    (tmp_path / "secret").write_text("s")
    (root / "rel").symlink_to("a/b")
    (root / "abs").symlink_to(root / "a")
    (root / "up").symlink_to("../secret")
    (root / "round").symlink_to("round")
    (root / "a/back").symlink_to("../rel/file")
    here = Root(root)
    for path in ("rel/file", "abs/b/file", "a/back"):
        with here.read(tuple(path.split("/"))) as file:
            assert file.read() == b"x"
    for path in ("up", "round"):
        with pytest.raises(OSError):
            here.read((path,))


def test_a_draft_is_seen_when_it_is_whole_and_vanishes_when_it_is_not(tmp_path: Path) -> None:
    root = Root(tmp_path)
    with root.draft(("f",)) as draft:
        draft.file.write(b"half")
        draft.file.flush()
        assert root.listing(()) == []
        part = next(tmp_path.iterdir()).name
        assert part.startswith(RESERVED)
        with pytest.raises(FileNotFoundError):
            parts_of(f"/{part}")
    assert list(tmp_path.iterdir()) == []
    with root.draft(("f",)) as draft:
        draft.file.write(b"whole")
        draft.commit(None)
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_an_overwritten_file_keeps_its_mode_as_a_file_written_in_place_does(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "f").chmod(0o755)
    with Root(tmp_path).draft(("f",)) as draft:
        draft.commit(None)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o755


def test_a_path_may_be_as_deep_as_the_system_takes_it(tmp_path: Path) -> None:
    (tmp_path / "keep").touch()
    root, deep = Root(tmp_path / "top"), ("d",) * 1_050
    root.path.mkdir()
    root.ensure_directory(deep)
    root.ensure_directory(deep)
    assert root.path.joinpath(*deep).is_dir()
    os.removedirs(root.path.joinpath(*deep))  # what clears a test's directory recurses, and would not get so far
    with pytest.raises(FileNotFoundError):
        root.ensure_directory(("d",))


def test_no_race_with_a_swapped_directory_leads_outside(tmp_path: Path) -> None:
    """A directory that gives way to a link to the outside and comes back, while it is read."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    for place, text in ((outside, "outside"), (root / "d", "inside")):
        place.mkdir(parents=True)
        (place / "f").write_text(text)
    (root / "link").symlink_to("../outside")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for here, there in (("d", "away"), ("link", "d"), ("d", "link"), ("away", "d")):
                os.rename(root / here, root / there)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        guarded = Root(root)
        for _ in range(5000):
            try:
                with guarded.read(("d", "f")) as file:
                    seen.add(file.read())
            except OSError:
                seen.add(b"refused")
    finally:
        over.set()
        swapper.join()
    assert seen == {b"inside", b"refused"}


# -- configuration -----------------------------------------------------------------------------------------


def test_a_file_describes_a_world_and_what_it_leaves_out_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "globus.yaml"
    file.write_text(
        """
        collections:
          - name: lab
            id: 11111111-1111-1111-1111-111111111111
            directory: here/lab
            quota: 1000
            permissions: [{path: /, access: r, principals: [ada@uni.example]}]
        settings: {overhead: 2.5, rate_per_second: null}
        """
    )
    config = load_config(file)
    (lab,) = config.collections
    assert lab.id == "11111111-1111-1111-1111-111111111111"
    assert lab.directory == tmp_path / "here/lab"
    assert lab.permissions[0].principals == ("ada@uni.example",)
    assert (config.settings.overhead, config.settings.rate_per_second) == (2.5, None)
    assert config.identities == default_config().identities


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("colections: []", "colections"),
        ("collections: [{name: a, quta: 1}]", r"collections\[0\].quta"),
        ("collections: {name: a}", "collections: a list"),
        ("collections: [{kind: mapped}]", r"collections\[0\]"),
        ("settings: 3", "settings: a mapping"),
        ("- 1", "not a mapping"),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "globus.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=where):
        load_config(file)


def test_the_default_world_is_the_same_at_every_start() -> None:
    assert default_config() == default_config()
    assert [each.name for each in default_config().collections] == ["lab", "archive", "theta", "secure"]
