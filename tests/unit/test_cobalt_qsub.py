"""qsub's own rules: values, directives, the order of the checks, and every message in Cobalt's words."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstage.cobalt.qsub import Checks, Option, Qsub, UsageError, parse_qsub
from qstage.cobalt.values import read_env, read_walltime

FILES = {
    "/home/ada/run.sh": "#!/bin/sh\necho hello\n",
    "/home/ada/directed.sh": "#!/bin/sh\n#COBALT -n 2 -t 30\n#COBALT -A chem --env A=1\necho hello\n",
    "/home/ada/attributed.sh": "#!/bin/sh\n#COBALT --attrs a=1\n",
    "/home/ada/moded.sh": "#!/bin/sh\n#COBALT -t5\n",
    "/home/ada/plain.txt": "text",
}
DIRECTORIES = {"/", "/home", "/home/ada", "/tmp"}

CHECKS = Checks(
    is_dir=DIRECTORIES.__contains__,
    is_file=FILES.__contains__,
    is_runnable=lambda path: path.endswith(".sh"),
    has_user={"ada", "bob"}.__contains__,
    known_jobs=lambda ids: set(ids) & {"7", "8"},
)


def parse(*argv: str, checks: Checks = CHECKS, added: Iterable[Option] = ()) -> Qsub:
    return parse_qsub(argv, read_script=FILES.get, cwd="/home/ada", user="ada", checks=checks, added=tuple(added))


def ends(*argv: str, checks: Checks = CHECKS) -> tuple[int, str, str]:
    with pytest.raises(UsageError) as caught:
        parse(*argv, checks=checks)
    return caught.value.exit_code, caught.value.stdout, caught.value.stderr


USAGE = (
    "Usage: qsub --help\nUsage: qsub [options] <executable> [<excutable options>]\n\n"
    "Refer to man pages for JOBID EXPANSION and SCRIPT JOB DIRECTIVES.\n\n\n"
)


def test_what_follows_the_executable_belongs_to_the_job() -> None:
    job = parse("-n1", "-t", "10", "run.sh", "-n", "7", "--help")
    assert (job.nodes, job.walltime, job.command) == (1, 10, "/home/ada/run.sh")
    assert job.args == ("-n", "7", "--help")


def test_the_last_of_a_repeated_option_wins() -> None:
    job = parse("-n1", "-n", "2", "-t5", "--time=6", "-qa", "-q", "b", "run.sh")
    assert (job.nodes, job.walltime, job.queue) == (2, 6, "b")


def test_every_default_is_cobalts() -> None:
    job = parse("-n", "010", "-t", "0", "run.sh")
    assert job.nodes == 8
    assert (job.queue, job.umask, job.kernel, job.ion_kernel) == ("default", 0o022, "default", "default")
    assert (job.cwd, job.outputdir, job.outputpath, job.user_list) == (
        "/home/ada",
        "/home/ada",
        None,
        ("ada",),
    )
    assert (job.user_hold, job.script_preboot, job.mode, job.procs) == (False, True, None, None)


def test_dash_h_holds_the_job() -> None:
    job = parse("-h", "-n1", "-t5", "run.sh")
    assert job.user_hold
    assert job.given == {"user_hold", "nodes", "walltime"}


def test_a_project_swallows_an_attached_option_that_follows_it() -> None:
    assert ends("-A", "-t50", "-n10", "run.sh") == (1, "", "'time' not provided\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-n0", "-t5", "run.sh"], "node count out of realistic range"),
        (["-n1025", "-t5", "run.sh"], "node count out of realistic range"),
        (["-t5", "run.sh"], "'nodecount' not provided"),
        (["-n5", "run.sh"], "'time' not provided"),
        (["-A", "p", "run.sh"], "'time' not provided"),
        (["--procc", "0", "-n1", "-t5", "run.sh"], "--proccount is 0 which is greater <= to zero"),
        (["-u", "999", "-n1", "-t5", "run.sh"], "Invalid umask value 999"),
        (["--env", "A", "-n1", "-t5", "run.sh"], "Improperly formatted argument to env : ['A']"),
        (["--attrs", "a=b=c"], "Improperly formatted argument to attrs : a=b=c"),
        (["--geometry", "1x2x3"], "Invalid geometry entered: "),
        (["--geometry", "1x2x3x4x3"], "Invalid geometry entered: "),
        (
            ["--mode", "smp", "-nfive"],
            "Specifed mode 'smp' not valid, valid modes are\nco\nvn\nscript\ninteractive",
        ),
        (
            ["--mode", "script", "--mode", "vn"],
            "Mode already set to 'script' and trying to set it again to 'vn'",
        ),
        (["--mode", "vn", "-I"], "Mode already set to 'vn' and trying to set it again to 'interactive'"),
        (["--run_users", "naughtyuser"], "user naughtyuser does not exist."),
        (["-n1", "-t5", "/no/such"], "command /no/such not found, or is not a file"),
        (["-n1", "-t5", "plain.txt"], "command /home/ada/plain.txt is not executable"),
        (["-n1", "-t5", "-o", "x/y", "run.sh"], "directory /home/ada/x/y does not exist"),
        (["-n1", "-t5", "-e", "/x/y", "run.sh"], "directory /x/y does not exist"),
        (["-n1", "-t5", "-O", "x/y", "run.sh"], "directory /home/ada/x/y.output does not exist"),
        (["-n1", "-t5", "-i", "in", "run.sh"], "file /home/ada/in not found, or is not a file"),
        (["-n1", "-t5", "--cwd", "/x", "-o", "p", "/home/ada/run.sh"], "directory /x/p does not exist"),
        (
            ["-n1", "-t5", "-I", "run.sh"],
            "An executable may not be specified if using the interactive option.",
        ),
        (["-n1", "-t5", "-I", "-i", "run.sh"], "Cannot specify an input file for interactive jobs."),
        (
            ["--attrs", "a=1", "--attrs", "b=2"],
            "Multiple --attrs options not supported.  Specify multiple attributes as follows: --attrs FOO=1:BAR=2",
        ),
    ],
)
def test_a_refusal_says_what_cobalt_says_and_exits_1(argv: list[str], message: str) -> None:
    assert ends(*argv) == (1, "", message + "\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abc", "illegal value 'abc' for minutes"),
        ("1_0", "illegal value '1_0' for minutes"),
        ("1:x", "illegal value 'x' for minutes"),
        ("x:0:0", "illegal value 'x' for hours"),
        ("0:0:0:x", "illegal value 'x' for seconds"),
        ("x:0:0:0", "illegal value 'x' for days"),
        ("0:0:60", "seconds value '60' outside range [0, 59]"),
        ("0:0:-1", "seconds value '-1' outside range [0, 59]"),
        ("-5", "minutes value must not be negative"),
        ("-1:00", "hours value must not be negative"),
        ("-1:0:0:0", "days value must not be negative"),
        ("1:2:3:4:5", "time may be specified as minutes, HH:MM, HH:MM:SS, or DD:HH:MM:SS"),
        ("2147483649", "4085 years is too long"),
    ],
)
def test_a_time_that_is_none_is_refused_in_cobalts_words(text: str, reason: str) -> None:
    assert ends("-t", text, "run.sh") == (1, "", f"invalid time specification: {reason}\n")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("10", 10),
        ("+10", 10),
        (" 7 ", 7),
        ("1:30", 90),
        ("01:30:59", 90),
        ("00:00:30", 0),
        ("1:75:00", 135),
        ("99:99", 6039),
        ("0:-5", -5),
        ("1:0:0:0", 1440),
        ("1:-1:0:0", 1380),
        ("2147483648", 2**31),
    ],
)
def test_a_time_is_read_in_whole_minutes(text: str, minutes: int) -> None:
    assert read_walltime(text) == minutes


@given(st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_seconds_are_checked_and_dropped(days: int, hours: int, minutes: int, seconds: int) -> None:
    assert read_walltime(f"{days}:{hours}:{minutes}:{seconds}") == days * 1440 + hours * 60 + minutes


def test_an_empty_time_crashes_as_cobalt_does() -> None:
    assert ends("-t", "", "run.sh") == (1, "{}\n", "*** FATAL EXCEPTION: string index out of range ***\n")


def test_words_that_break_the_grammar_exit_2_with_the_usage_on_stderr() -> None:
    assert ends("--no", "5") == (
        2,
        "",
        USAGE + "qsub: error: ambiguous option: --no (--nodecount, --notify?)\n",
    )


def test_no_executable_and_no_option_put_the_usage_on_stdout() -> None:
    assert ends("-h") == (1, USAGE, "No executable or script specified\n\n")
    assert ends("run.sh") == (1, USAGE, "No required options provided\n\n")
    assert ends("-d", "-v", "run.sh") == (1, USAGE, "No required options provided\n\n")


def test_help_is_only_spelled_out_and_version_is_the_unfilled_template() -> None:
    code, stdout, stderr = ends("--help", "-n", "five")
    assert (code, stderr) == (0, "")
    assert stdout.startswith("Usage: qsub --help\n")
    assert "-n NODES, --nodecount=NODES" in stdout
    assert ends("--version") == (0, 'version: "qsub " + $Revision: 559 $ + , Cobalt  + $Version$\n', "")


def test_directives_come_before_the_command_line_which_overrides_them() -> None:
    job = parse("-n", "4", "directed.sh")
    assert (job.nodes, job.walltime, job.project, job.mode) == (4, 30, "chem", "script")
    assert job.argv[:4] == ("--mode", "script", "-n", "2")
    assert job.argv[-3:] == ("-n", "4", "directed.sh")


def test_separate_env_words_are_joined_across_directives_and_line() -> None:
    assert parse("--env", "B=2", "--en", "A=3", "directed.sh").envs == {"A": "3", "B": "2"}


def test_attached_env_values_are_not_joined() -> None:
    assert parse("-n1", "-t5", "--env=A=1", "--env=B=2", "run.sh").envs == {"B": "2"}


def test_joining_env_leaves_the_jobs_own_words_alone() -> None:
    job = parse("-n1", "-t5", "--env", "A=1", "--env", "B=2", "run.sh", "--env", "C=3")
    assert (job.envs, job.args) == ({"A": "1", "B": "2"}, ("--env", "C=3"))


def test_attrs_in_a_directive_and_on_the_line_are_one_too_many() -> None:
    assert ends("-n1", "-t5", "--attrs", "b=2", "attributed.sh")[2].startswith("Multiple --attrs options")


def test_directives_fix_the_mode_to_script() -> None:
    message = "Mode already set to 'script' and trying to set it again to 'vn'\n"
    assert ends("-n1", "--mode", "vn", "moded.sh") == (1, "", message)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\n#COBALT -n 2\n#COBALT -t 5\n", ("-n", "2", "-t", "5")),
        ("#!/bin/sh\n#COBALT -n 2\n\n#COBALT -t 5\n", ("-n", "2")),
        ("#!/bin/sh\n#COBALT -n 2\n# note\n#COBALT -t 5\n", ("-n", "2")),
        ("#!/bin/sh\n #COBALT -n 2\n", None),
        ("#!/bin/sh\n#COBALT\t-n 2\n", None),
        ("#!/bin/sh\n#cobalt -n 2\n", None),
        ("#COBALT -n 2\n", None),
        ("\n#!/bin/sh\n#COBALT -n 2\n", None),
        ("#!/bin/sh\n#COBALT \n", ()),
        ("#!/bin/sh\n#COBALT ", None),
        ('#!/bin/sh\n#COBALT --jobname "my job"', ("--jobname", '"my', 'job"')),
        ("#!/bin/sh\r\n#COBALT -n 2\r\n", ("-n", "2")),
    ],
)
def test_only_an_unbroken_block_below_the_first_line_counts(script: str, words: tuple[str, ...] | None) -> None:
    from qstage.cobalt.directives import read_directives

    found = read_directives(script)
    assert (found.words if found.found else None) == words


def test_lines_of_a_second_tag_are_kept_whole_and_do_not_end_the_block() -> None:
    script = "#!/bin/sh\n#COBALT -n 2\n#QSTAGE stage-in 'lab:/a b'\n#COBALT -t 5\n"
    job = parse_qsub(["./x"], read_script=lambda _: script, cwd="/w", user="ada", own_tag="#QSTAGE ", checks=Checks())
    assert (job.nodes, job.walltime) == (2, 5)
    assert job.own_lines == ("stage-in 'lab:/a b'",)


def test_a_directive_option_that_does_not_exist_exits_2() -> None:
    with pytest.raises(UsageError) as caught:
        parse_qsub(["x"], read_script=lambda _: "#!x\n#COBALT --nope\n", cwd="/w", user="ada")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1:B=2", {"A": "1", "B": "2"}),
        ("A=http://x:80/y", {"A": "http://x:80/y"}),
        ("A=1:B", {"A": "1:B"}),
        (r"A=1\:B=2", {"A": "1:B=2"}),
        (r"A=x\=y", {"A": "x=y"}),
        ("A=", {"A": ""}),
        ("A=1:A=2", {"A": "2"}),
        ("A=b=c", {"A": "b=c"}),
    ],
)
def test_env_is_split_only_where_another_variable_begins(text: str, expected: dict[str, str]) -> None:
    assert read_env(text) == expected


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,4}", fullmatch=True), st.text(max_size=8), min_size=1, max_size=4))
def test_env_with_escaped_colons_and_equals_comes_back_whole(variables: dict[str, str]) -> None:
    usable = {k: v for k, v in variables.items() if "\\" not in v and "\0" not in v}
    if not usable:
        return
    text = ":".join(f"{k}=" + v.replace(":", "\\:").replace("=", "\\=") for k, v in usable.items())
    assert read_env(text) == usable


def test_attrs_have_values_flags_and_refusals() -> None:
    assert parse("-n1", "-t5", "--attrs", "a=1:b:no_c:d=", "run.sh").attrs == {
        "a": "1",
        "b": "true",
        "c": "false",
        "d": "",
    }


def test_geometry_of_four_parts_gets_a_fifth() -> None:
    assert parse("-n1", "-t5", "--geometry", "0x2x3x4", "run.sh").geometry == (0, 2, 3, 4, 2)


def test_the_submitter_heads_the_list_of_users() -> None:
    assert parse("-n1", "-t5", "--user_list", "bob", "run.sh").user_list == ("ada", "bob")
    assert parse("-n1", "-t5", "--run_users", "bob:ada", "run.sh").user_list == ("bob", "ada")


def test_an_output_prefix_fills_only_what_was_not_given() -> None:
    job = parse("-n1", "-t5", "-O", "p", "-e", "/tmp/e", "run.sh")
    assert (job.outputpath, job.errorpath) == ("/home/ada/p.output", "/tmp/e")
    assert job.cobalt_log_file == "/home/ada/p.cobaltlog"


def test_unknown_dependencies_only_warn_and_none_is_said_on_stdout() -> None:
    job = parse("-n1", "-t5", "--dependencies", "7:99:x", "run.sh")
    assert job.dependencies == "7:99:x"
    assert job.stderr == "WARNING: dependencies 99:x do not match jobs currently in the queue\n"
    assert parse("-n1", "-t5", "--dependencies", "NONE", "run.sh").stdout == "Removing job dependencies\n"


def test_what_was_said_before_a_refusal_is_still_said() -> None:
    assert ends("--dependencies", "none", "-n1", "run.sh") == (
        1,
        "Removing job dependencies\n",
        "'time' not provided\n",
    )


def test_a_bad_working_directory_is_not_itself_refused() -> None:
    assert parse("-n1", "-t5", "--cwd", "/nowhere", "/home/ada/run.sh").cwd == "/nowhere"


def test_blue_gene_q_has_its_own_modes() -> None:
    checks = Checks(blue_gene_q=True)
    assert parse("-n1", "-t5", "--mode", "c16", "run.sh", checks=checks).mode == "c16"
    assert "\nc1\nc2\n" in ends("--mode", "vn", checks=checks)[2]


def test_an_interactive_job_has_no_command() -> None:
    job = parse("-I", "-n1", "-t5")
    assert (job.command, job.mode) == (None, "interactive")


def test_added_options_come_back_in_order_and_are_not_required_options() -> None:
    added = [
        Option(dest="stage_in", names=("--stage-in",)),
        Option(dest="x", names=("--fresh",), takes="nothing"),
    ]
    job = parse("--stage-in", "a", "-n1", "--fresh", "-t5", "--stage-in=b", "run.sh", added=added)
    assert job.added == (("--stage-in", "a"), ("--fresh", None), ("--stage-in", "b"))
    with pytest.raises(UsageError, match="No required options provided"):
        parse("--fresh", "run.sh", added=added)
