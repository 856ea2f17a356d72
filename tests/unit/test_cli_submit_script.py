"""``qstage submit SCRIPT``: what the directives of Slurm's and PBS's users become, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from qstage.cli.app import run

LAB = "0a1b2c3d-0000-4000-8000-000000000001"
SCHEMA = Path(__file__).parents[2] / "qstage/schema/document.json"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QSTAGE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(f'site = "polaris"\n[collections]\nlab = "{LAB}"\n')
    (tmp_path / "config.toml").chmod(0o600)
    return tmp_path


class Typed:
    def __init__(
        self, capsys: pytest.CaptureFixture[str], script: str, *words: str, before: tuple[str, ...] = ()
    ) -> None:
        Path("md.sh").write_text(script)
        self.status = run(["submit", "--dry-run", *before, "md.sh", *words])
        self.out, self.err = capsys.readouterr()

    @property
    def document(self) -> dict[str, Any]:
        assert self.status == 0, self.err
        document: dict[str, Any] = json.loads(self.out)
        Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
        return document


def test_a_slurm_users_script_becomes_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    script = """#!/bin/bash
#SBATCH --job-name=md-run   # a comment
#SBATCH -N 2 --ntasks-per-node=4

# a remark between
#SBATCH -c8 --gpus-per-task 1 --exclusive
#SBATCH --mem=64G
#SBATCH -t 1-02:03:04
#SBATCH -p debug -A chem --reservation=maint
#SBATCH -o out/log.txt -e out/err.txt -i in.dat
#SBATCH --qos=high -C "knl&flat"
#SBATCH --export=NONE,A=1,B=x
#SBATCH --mail-user=ada@x.org --mail-type=ALL
#SBATCH -H
#QSTAGE stage-in lab:/data/=inputs/
srun ./md
#SBATCH --nodes=99
"""
    document = Typed(capsys, script, "a b", "-n", "7", before=("--tag", "run=7", "--cleanup")).document
    assert document == {
        "name": "md-run",
        "site": "polaris",
        "executable": "md.sh",
        "arguments": ["a b", "-n", "7"],
        "files": [{"path": "md.sh", "content": script, "mode": "0755"}],
        "resources": {
            "node_count": 2, "processes_per_node": 4, "cpu_cores_per_process": 8, "gpu_cores_per_process": 1,
            "exclusive_node_use": True, "memory": 64 * 1024**3,
        },
        "attributes": {
            "duration": 93784, "queue_name": "debug", "account": "chem", "reservation_id": "maint",
            "custom_attributes": {"slurm.qos": "high", "slurm.constraint": "knl&flat"},
        },
        "environment": {"A": "1", "B": "x"},
        "stdout_path": "out/log.txt", "stderr_path": "out/err.txt", "stdin_path": "in.dat",
        "stage_in": [{"source": f"globus://{LAB}/data/", "target": "inputs/"}],
        "tags": {"run": "7"},
        "hold": True,
        "cleanup": True,
        "notify": {"email": "ada@x.org"},
    }  # fmt: skip


def test_a_pbs_users_script_becomes_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    script = """#!/bin/bash
#PBS -N md
#PBS -l select=2:ncpus=8:mpiprocs=4:mem=8gb:ngpus=4,walltime=01:30:00
#PBS -l filesystems=home:eagle -l place=scatter:excl
#PBS -q debug -A chem
#PBS -j oe -o log.txt
#PBS -v A=1,B=2
#PBS -M ada@x.org -m abe
#PBS -W umask=027 -W group_list=chem -r n
cd $PBS_O_WORKDIR
"""
    document = Typed(capsys, script).document
    starter = document["files"].pop()
    assert "umask 027\n" in starter["content"]
    assert document == {
        "name": "md",
        "site": "polaris",
        "executable": starter["path"],
        "arguments": [],
        "files": [{"path": "md.sh", "content": script, "mode": "0755"}],
        "resources": {
            "node_count": 2, "processes_per_node": 4, "cpu_cores_per_process": 2, "gpu_cores_per_process": 1,
            "memory": 8 * 1024**3, "exclusive_node_use": True,
        },
        "attributes": {
            "duration": 5400, "queue_name": "debug", "account": "chem",
            "custom_attributes": {
                "pbs.l": "filesystems=home:eagle", "pbs.W": "group_list=chem", "pbs.r": "n",
            },
        },
        "environment": {"A": "1", "B": "2"},
        "stdout_path": "log.txt", "stderr_path": "log.txt",
        "notify": {"email": "ada@x.org"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line", ["#SBATCH -d afterok:1001:1002,afternotok:1003", "#PBS -W depend=afterok:1001:1002,afternotok:1003"]
)
def test_a_script_that_waits_for_others_names_them(capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert Typed(capsys, f"#!/bin/bash\n{line}\ntrue\n").document["depends_on"] == [
        {"job": 1001, "when": "afterok"},
        {"job": 1002, "when": "afterok"},
        {"job": 1003, "when": "afternotok"},
    ]


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("1:30", 90), ("1:00:00", 3600), ("2-0", 172800), ("1-1:30", 91800), ("1-0:0:5", 86405)],
)
def test_every_form_of_slurms_time_is_read(capsys: pytest.CaptureFixture[str], time: str, seconds: int) -> None:
    document = Typed(capsys, f"#!/bin/bash\n#SBATCH --time={time}\ntrue\n").document
    assert document["attributes"] == {"duration": seconds}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("#SBATCH --array=1-10", "several documents"),
        ("#SBATCH --nodes=2-4", "one number of nodes"),
        ("#SBATCH --nodes=many", "not a whole number"),
        ("#SBATCH -t UNLIMITED", "not a time"),
        ("#SBATCH -t 0", "how long"),
        ("#SBATCH -o slurm-%j.out", "pattern"),
        ("#SBATCH -o /home/me/out", "job's own directory"),
        ("#SBATCH -o ../out", "job's own directory"),
        ("#SBATCH --export=ALL", "environment of its own"),
        ("#SBATCH --export=HOME", "write HOME=value"),
        ("#SBATCH --requeue", "cannot be passed on"),
        ("#SBATCH --mail-type=END --mail-user=a@b.c", "cannot be chosen"),
        ("#SBATCH --mail-type=ALL", "--mail-user"),
        ("#SBATCH --mail-user=ada", "e-mail address"),
        ("#SBATCH --uid=0", "as the site's agent"),
        ("#SBATCH -y", "no option -y"),
        ("#SBATCH --qos", "needs a value"),
        ("#SBATCH nodes=2", "is not an option"),
        ("#SBATCH -J 'a b'", "letters, digits"),
        ("#SBATCH -J 'a", "No closing quotation"),
        ("#SBATCH -d singleton", "afterok, afterany and afternotok"),
        ("#SBATCH -d afterok:1?afterok:2", "the number that qstage gave it"),
        ("#PBS -W depend=afterok:12.server", "the number that qstage gave it"),
        ("#PBS -J 1-10", "several documents"),
        ("#PBS -l select=1:ncpus=1+1:ncpus=2", "differ"),
        ("#PBS -l select=1:model=x", "cannot be carried"),
        ("#PBS -l select=1:ncpus=3:mpiprocs=2", "evenly"),
        ("#PBS -l walltime=long", "not a time"),
        ("#PBS -V", "environment of its own"),
        ("#PBS -W stagein=a@h:b", "#QSTAGE stage-in"),
        ("#PBS -q q@server", "--site"),
        ("#PBS -o host:/path", "#QSTAGE stage-out"),
        ("#PBS -m e -M a@b.c", "cannot be chosen"),
        ("#PBS -I", "interactive"),
        ("#QSTAGE launch x", "#QSTAGE launch x"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_its_line(
    capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    typed = Typed(capsys, f"#!/bin/bash\n{line}\ntrue\n")
    assert (typed.status, typed.out) == (1, "")
    assert words in typed.err


def test_a_script_of_both_kinds_is_read_as_the_one_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    script = "#!/bin/bash\n#SBATCH -N 2\n#PBS -l nodes=3:ppn=4\ntrue\n"
    assert "--as slurm or --as pbs" in Typed(capsys, script).err
    assert Typed(capsys, script, before=("--as", "slurm")).document["resources"] == {"node_count": 2}
    counted = Typed(capsys, script, before=("--as", "pbs")).document["resources"]
    assert counted == {"node_count": 3, "processes_per_node": 4}


def test_a_working_directory_is_kept_by_a_script_that_starts_the_other(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = Typed(capsys, "#!/bin/bash\n#SBATCH -D sub\npwd\n").document
    job = machine / "job"
    (job / "sub").mkdir(parents=True)
    for file in document["files"]:
        (job / file["path"]).write_text(file["content"])
        (job / file["path"]).chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "QSTAGE_JOB_DIR": str(job)}
    said = subprocess.run([job / document["executable"]], cwd=job, env=environment, capture_output=True, text=True)
    assert said.stdout == f"{job}/sub\n"


def test_a_file_without_an_interpreter_and_a_document_with_options_are_refused(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "#!/bin/bash" in Typed(capsys, "echo hi\n").err
    (machine / "job.json").write_text('{"site": "theta"}')
    assert run(["submit", "--site", "x", "job.json"]) == 1
    assert "what it says is in it" in capsys.readouterr().err


def test_staging_just_in_time_is_said_on_the_line_or_in_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    script = "#!/bin/bash\n#SBATCH -t 10\n{}true\n"
    own = script.format("#QSTAGE staging just_in_time\n")
    assert Typed(capsys, own).document["staging"] == "just_in_time"
    line = Typed(capsys, script.format(""), before=("--staging", "just_in_time"))
    assert line.document["staging"] == "just_in_time"
    assert Typed(capsys, own, before=("--staging", "eager")).document["staging"] == "eager"
