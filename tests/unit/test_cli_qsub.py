"""``qstage qsub``: typed lines in, documents and refusals out. Nothing is sent: every line has --dry-run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qstage.cli.app import run
from qstage.cli.staging import BadStaging, read_list, read_stage_in, read_stage_out

LAB, ARCHIVE = "0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QSTAGE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(f'site = "theta"\n[collections]\nlab = "{LAB}"\narchive = "{ARCHIVE}"\n')
    (tmp_path / "config.toml").chmod(0o600)
    write_script(tmp_path / "run.sh", "#!/bin/bash\necho hi\n")
    return tmp_path


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Typed:
    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.status = run(["qsub", "--dry-run", *words])
        told = capsys.readouterr()
        self.out, self.err = told.out, told.err

    @property
    def document(self) -> dict[str, Any]:
        assert self.status == 0, self.err
        document: dict[str, Any] = json.loads(self.out)
        return document


def test_a_line_as_typed_on_cobalt_makes_a_whole_document(capsys: pytest.CaptureFixture[str]) -> None:
    line = "-A chem -n 2 -t 30 -q debug --proccount 8 --env A=1:B=http://x:80/y -h --jobname md-run -o o.txt -e e.txt"
    document = Typed(capsys, *line.split(), "--attrs", "mcdram=cache:no_preboot", "run.sh", "a b", "-n", "7").document
    assert document == {
        "name": "md-run",
        "site": "theta",
        "executable": "run.sh",
        "arguments": ["a b", "-n", "7"],
        "files": [{"path": "run.sh", "content": "#!/bin/bash\necho hi\n", "mode": "0755"}],
        "resources": {"node_count": 2, "process_count": 8},
        "attributes": {
            "duration": 1800,
            "queue_name": "debug",
            "account": "chem",
            "custom_attributes": {"mcdram": "cache", "preboot": "false"},
        },
        "environment": {"A": "1", "B": "http://x:80/y"},
        "stdout_path": "o.txt",
        "stderr_path": "e.txt",
        "hold": True,
    }


def test_directives_of_both_kinds_are_read_and_the_line_wins(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_script(
        machine / "job.sh",
        "#!/bin/bash\n#COBALT -n 2 -t 30\n#QSTAGE site mira\n#QSTAGE stage-in 'lab:/my data/'=inputs/\n"
        "#COBALT -A chem\n"
        "#QSTAGE stage-out results/=archive:/runs/{id}/?on_success,on_error\n#QSTAGE tag run=7\n#QSTAGE cleanup\n",
    )
    document = Typed(capsys, "-n", "4", "--stage-in", "lab:/x.dat", "job.sh").document
    assert (document["site"], document["resources"]) == ("mira", {"node_count": 4})
    assert document["attributes"] == {"duration": 1800, "account": "chem"}
    assert document["stage_in"] == [
        {"source": f"globus://{LAB}/my data/", "target": "inputs/"},
        {"source": f"globus://{LAB}/x.dat"},
    ]
    assert document["stage_out"] == [
        {"source": "results/", "target": f"globus://{ARCHIVE}/runs/{{id}}/", "when": ["on_success", "on_error"]}
    ]
    assert (document["tags"], document["cleanup"]) == ({"run": "7"}, True)
    assert Typed(capsys, "--site", "theta", "job.sh").document["site"] == "theta"


def test_a_command_that_is_not_here_is_a_path_at_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("/soft/bin/solver", "bin/solver", "/bin/ls"):
        document = Typed(capsys, "-n", "1", "-t", "5", command, "-x").document
        assert (document["executable"], document["arguments"]) == (command, ["-x"])
        assert "files" not in document


def test_a_binary_here_travels_as_base64_and_one_too_large_is_refused(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "tool").write_bytes(b"\x7fELF\xff")
    (machine / "tool").chmod(0o755)
    document = Typed(capsys, "-n", "1", "-t", "5", "./tool").document
    assert document["files"] == [{"path": "tool", "content": "f0VMRv8=", "encoding": "base64", "mode": "0755"}]
    assert document["executable"] == "tool"
    (machine / "tool").write_bytes(b"x" * 200_000)
    refused = Typed(capsys, "-n", "1", "-t", "5", "./tool")
    assert refused.status == 1
    assert "stage it in" in refused.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("-n five -t 5 run.sh", 2, "option -n: invalid integer value: 'five'"),
        ("-t 5 run.sh", 1, "'nodecount' not provided"),
        ("-n 1 run.sh", 1, "'time' not provided"),
        ("-n 1 -t abc run.sh", 1, "invalid time specification: illegal value 'abc' for minutes"),
        ("-n 1 -t 5", 1, "No executable or script specified"),
        ("-n 1 -t 5 --no run.sh", 2, "ambiguous option: --no"),
        ("-n 1 -t 5 config.toml", 1, "command config.toml is not executable"),
        ("-n 1 -t 0 run.sh", 1, "-t 0"),
        ("-n 1 -t 5 --geometry 1x2x3x4 run.sh", 1, "Blue Gene"),
        ("-n 1 -t 5 --kernel x run.sh", 1, "Blue Gene"),
        ("-n 1 -t 5 -I", 1, "cannot be interactive"),
        ("-n 1 -t 5 --mode vn run.sh", 1, "--mode vn"),
        ("-n 1 -t 5 --cwd /x -o out run.sh", 1, "-o /x/out"),
        ("-n 1 -t 5 --cwd .. -o out run.sh", 1, "-o ../out"),
        ("-n 1 -t 5 --debuglog /x/log run.sh", 1, "--debuglog /x/log"),
        ("-n 1 -t 5 -M g run.sh", 1, "-M g: must be one e-mail address"),
        ("-n 1 -t 5 -u 999 run.sh", 1, "Invalid umask value 999"),
        ("-n 1 -t 5 -o $jobid.out run.sh", 1, "the id cannot be put in here"),
        ("-n 1 -t 5 --env A=$COBALT_JOBID run.sh", 1, "the id cannot be put in here"),
        ("-n 1 -t 0:-5 run.sh", 1, "less than none"),
        ("-n 1 -t 5 --run_users root run.sh", 1, "--run_users"),
        ("-n 1 -t 5 -o /abs/out run.sh", 1, "-o /abs/out"),
        ("-n 1 -t 5 --jobname ../x run.sh", 1, "--jobname"),
        ("-n 1 -t 5 --dependencies 12:x run.sh", 1, "'x' is not the id of a job"),
        ("-n 1 -t 5 --stage-in nowhere:/x run.sh", 1, "qstage collections add nowhere ID"),
        ("-n 1 -t 5 --stage-in /x run.sh", 1, "<collection>:<path>"),
        ("-n 1 -t 5 --stage-out results/ run.sh", 1, "<source>=<collection>:<path>"),
        ("-n 1 -t 5 --stage-out r/=lab:/x?sometimes run.sh", 1, "after the ?"),
        ("-n 1 -t 5 --from-list none.txt run.sh", 1, "none.txt"),
        ("-n 1 -t 5 --tag x run.sh", 1, "<name>=<value>"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_place(
    capsys: pytest.CaptureFixture[str], words: str, status: int, said: str
) -> None:
    typed = Typed(capsys, *words.split())
    assert typed.status == status
    assert said in typed.err


def test_time_0_is_what_was_said_of_the_site_once(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "qstage site use ID --longest MINUTES" in Typed(capsys, "-n", "1", "-t", "0", "run.sh").err
    assert run(["site", "use", "theta", "--longest", "360"]) == 0
    assert Typed(capsys, "-n", "1", "-t", "0", "run.sh").document["attributes"] == {"duration": 21600}


def test_an_address_for_news_goes_into_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert Typed(capsys, "-n", "1", "-t", "5", "-M", "ada@x.org", "run.sh").document["notify"] == {"email": "ada@x.org"}


def started(machine: Path, document: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a document's command as the agent would: its files in the job's directory, its executable from there."""
    job = machine / "job"
    job.mkdir(exist_ok=True)
    for file in document["files"]:
        write_script(job / file["path"], file["content"])
    environment = {"PATH": os.environ["PATH"], "QSTAGE_JOB_DIR": str(job), "QSTAGE_JOB_ID": "1001"}
    words = [str(job / document["executable"]), *document["arguments"]]
    return subprocess.run(words, cwd=job, env=environment, capture_output=True, text=True, check=False)


def test_a_job_starts_in_the_directory_and_under_the_umask_it_asked_for(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_script(machine / "run.sh", '#!/bin/bash\npwd; umask; printf "%s|" "$@"\nexit 3\n')
    line = ["-n", "1", "-t", "5", "--cwd", "in $x", "-u", "027", "-o", "o.txt", "run.sh", "a b"]
    document = Typed(capsys, *line).document
    assert document["stdout_path"] == "in $x/o.txt"
    lost = started(machine, document)
    assert (lost.returncode, lost.stderr.splitlines()[-1]) == (1, "directory in $x does not exist")
    (machine / "job/in $x").mkdir()
    done = started(machine, document)
    assert (done.returncode, done.stdout) == (3, f"{machine}/job/in $x\n0027\na b|")


def test_a_debug_log_is_written_as_cobalt_writes_it(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_script(machine / "run.sh", "#!/bin/bash\nexit 3\n")
    document = Typed(capsys, "-n", "1", "-t", "5", "-O", "logs/md", "run.sh").document
    assert (document["stdout_path"], document["stderr_path"]) == ("logs/md.output", "logs/md.error")
    assert started(machine, document).returncode == 3
    log = (machine / "job/logs/md.cobaltlog").read_text().splitlines()
    assert log[:2] == ["Jobid: 1001", "qsub -n 1 -t 5 -O logs/md run.sh"]
    assert log[3].endswith(f" submitted with cwd set to: {machine}/job")
    assert "task completed normally with an exit code of 3; initiating job cleanup and removal" in log[-1]


def test_a_job_waits_for_others_to_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    document = Typed(capsys, "-n", "1", "-t", "5", "--dependencies", "1001:1003:1001", "run.sh").document
    assert document["depends_on"] == [{"job": 1001, "when": "afterok"}, {"job": 1003, "when": "afterok"}]


def test_removing_dependencies_leaves_stdout_to_the_id(capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed(capsys, "-n", "1", "-t", "5", "--dependencies", "none", "run.sh")
    assert "depends_on" not in typed.document
    assert typed.err == "Removing job dependencies\n"


def test_without_any_site_the_cure_is_named(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "config.toml").unlink()
    typed = Typed(capsys, "-n", "1", "-t", "5", "run.sh")
    assert (typed.status, "qstage site use ID" in typed.err) == (1, True)


def test_a_list_of_inputs_is_read_from_a_file(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "list.txt").write_text("# inputs\nlab:/a=in/a\n\nlab:/b c\n")
    document = Typed(capsys, "-n", "1", "-t", "5", "--from-list", "list.txt", "run.sh").document
    assert document["stage_in"] == [
        {"source": f"globus://{LAB}/a", "target": "in/a"},
        {"source": f"globus://{LAB}/b c"},
    ]


@pytest.mark.parametrize(
    "line", ["#QSTAGE stage-in", "#QSTAGE launch x", "#QSTAGE stage-in 'lab:/x", "#QSTAGE cleanup now"]
)
def test_a_directive_of_ours_that_cannot_be_read_is_refused(
    machine: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    write_script(machine / "job.sh", f"#!/bin/bash\n{line}\n")
    typed = Typed(capsys, "-n", "1", "-t", "5", "job.sh")
    assert typed.status == 1
    assert "#QSTAGE" in typed.err


@given(path=st.text(min_size=1, max_size=20), target=st.text(min_size=1, max_size=20))
@example(path="\\", target="\\")
@example(path="a?b=c\\?", target="=?")
def test_any_path_can_be_written_with_backslashes(path: str, target: str) -> None:
    def escape(text: str) -> str:
        return "".join(f"\\{character}" if character in "\\=?" else character for character in text)

    rooted = f"/{path.lstrip('/')}"
    item = read_stage_in(f"lab:{escape(rooted)}={escape(target)}", lambda _: LAB)
    assert item == {"source": f"globus://{LAB}{rooted}", "target": target}
    out = read_stage_out(f"{escape(target)}=lab:{escape(rooted)}?always", lambda _: LAB)
    assert out == {"source": target, "target": f"globus://{LAB}{rooted}", "when": ["always"]}


def test_a_list_with_a_bad_line_is_refused_whole() -> None:
    with pytest.raises(BadStaging):
        read_list("lab:/a\nlab\n", lambda _: LAB)


@pytest.mark.parametrize("words", [("--staging", "just_in_time"), ("--staging=just_in_time",)])
def test_staging_just_in_time_is_said_on_the_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert Typed(capsys, "-n", "1", "-t", "10", *words, "run.sh").document["staging"] == "just_in_time"
    assert "staging" not in Typed(capsys, "-n", "1", "-t", "10", "run.sh").document


def test_staging_is_said_in_the_script_and_the_line_wins(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_script(machine / "late.sh", "#!/bin/bash\n#COBALT -n 1 -t 10\n#QSTAGE staging just_in_time\ntrue\n")
    assert Typed(capsys, "late.sh").document["staging"] == "just_in_time"
    assert Typed(capsys, "--staging", "eager", "late.sh").document["staging"] == "eager"


def test_another_word_for_staging_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    typed = Typed(capsys, "-n", "1", "-t", "10", "--staging", "lazy", "run.sh")
    assert (typed.status, typed.out) == (1, "")
    assert "staging 'lazy' is not eager or just_in_time" in typed.err
