"""``make demo`` and ``make up``: the whole way on one machine, for people to see and to try with their own work.

``run`` starts a stack, signs a user in, submits one job or several with the given input, script and output,
shows them on their way, and checks that what arrived is what the site had. ``up`` starts the same and stays.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from emulators.aws.stack import StackError
from emulators.globus.browser import SignInError
from emulators.showing import Show
from emulators.stack import PROJECT, SITE, Login, Stack, StackFailed
from qstage.client import Job, QstageError

FINAL = ("completed", "failed", "canceled")
LOOK_SECONDS = 0.25
WALLTIME = 6 * 3600
DEFAULT_OUTPUT = PROJECT / ".state" / "demo" / "results"

SAMPLE_INPUT: Mapping[str, str] = {
    "readings/day one.csv": "hour,celsius\n0,11.5\n6,9.0\n12,17.25\n18,14.0\n",
    "readings/day two.csv": "hour,celsius\n0,10.0\n6,8.5\n12,19.0\n18,15.5\n",
    "notes/Größe.txt": "names may have blanks, 'quotes' and letters beyond ASCII\n",
    "notes/empty.txt": "",
}
SAMPLE_SCRIPT = """\
#!/bin/bash
# Runs in the job's directory on a node of the simulated machine; its inputs are there already.
set -euo pipefail
mkdir -p results
for file in inputs/readings/*.csv; do
    name=$(basename "$file" .csv)
    awk -F, 'NR > 1 { sum += $2; n++ } END { printf "mean %.3f of %d readings\\n", sum / n, n }' "$file" \\
        > "results/$name mean.txt"
done
find inputs -type f -print0 | sort -z | xargs -0 sha256sum > results/inputs.sha256
echo "job $COBALT_JOBID on $COBALT_PARTNAME: $(wc -l < results/inputs.sha256) inputs, $(ls results | wc -l) results"
"""


class DemoFailed(Exception):
    """The demo did not end as it should; the message says where and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0 only if all went well."""
    asked = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    state = Path(tempfile.mkdtemp(prefix="qstage-"))
    try:
        return int(asked.act(asked, state))
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything is stopped", file=sys.stderr)
        return 130
    except (DemoFailed, StackFailed, StackError, SignInError, QstageError) as error:
        kept = _keep_logs(state)
        print(f"demo: {error}\ndemo: the logs are in {kept}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulators.demo", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="take one job, or several, the whole way")
    run.add_argument("--input", type=Path, help="a directory: what lies on the collection lab")
    run.add_argument("--script", type=Path, help="what runs; it finds inputs/ and leaves results/")
    run.add_argument("--output", type=Path, help="an empty directory: where the results arrive")
    run.add_argument("--jobs", type=int, default=1, help="how many jobs to run at once")
    run.set_defaults(act=_run)
    up = commands.add_parser("up", help="start everything and stay up")
    up.add_argument("--port", type=int, default=0, help="of the API; a free one by default")
    up.set_defaults(act=_up)
    return parser


# -- make demo


def _run(asked: argparse.Namespace, state: Path) -> int:
    source = _input(asked.input, state)
    output = _output(asked.output)
    script = _script(asked.script)
    if asked.jobs < 1:
        raise DemoFailed("JOBS must be at least 1")
    with Show() as show, Stack(state, input=source, output=output) as stack:
        show.say(f"started: the service at {stack.url}, Globus at {stack.globus.url}, a Cobalt of 8 nodes")
        login = _open(stack, show)
        documents = [_document(stack, script, number, asked.jobs) for number in range(asked.jobs)]
        posted = login.client.submit(documents if asked.jobs > 1 else documents[0])
        numbers = [job.id for job in posted.jobs]
        show.say(f"submitted {_named(numbers)}: inputs from lab, the run at {SITE}, results to archive")
        jobs = _follow(stack, login, numbers, show)
        if asked.jobs > 1:
            _tell_stories(login, jobs, show)
        for job in jobs:
            _check(job, output if asked.jobs == 1 else output / f"{job.name}-{job.id}", show)
    print(f"demo: {_named(numbers)} completed, results in {output}")
    return 0


def _open(stack: Stack, show: Show) -> Login:
    login = stack.sign_in()
    show.say(f"signed in as {login.username} through the login and consent pages")
    stack.register_site()
    stack.start_agent()
    show.say(f"registered the site {SITE} and started its agent")
    return login


def _document(stack: Stack, script: bytes, number: int, of: int) -> dict[str, Any]:
    where = "/" if of == 1 else "/{name}-{id}/"
    return {
        "name": "demo" if of == 1 else f"demo{number + 1}",
        "site": SITE,
        "executable": "run.sh",
        "files": [
            {"path": "run.sh", "content": base64.b64encode(script).decode(), "encoding": "base64", "mode": "0755"}
        ],
        "attributes": {"duration": WALLTIME},
        "stage_in": [{"source": f"globus://{stack.collections['lab']}/", "target": "inputs/"}],
        "stage_out": [{"source": "results/", "target": f"globus://{stack.collections['archive']}{where}"}],
    }


def _follow(stack: Stack, login: Login, numbers: Sequence[int], show: Show) -> list[Job]:
    """Show the jobs on their way until all are final."""
    while True:
        jobs = [login.client.job(number) for number in numbers]
        show.jobs(jobs)
        if all(job.state in FINAL for job in jobs):
            return jobs
        if stuck := next((job for job in jobs if job.login_url), None):
            raise DemoFailed(f"job {stuck.id} waits for a login that the demo did not foresee: {stuck.login_url}")
        stack.check_alive()
        time.sleep(LOOK_SECONDS)


def _tell_stories(login: Login, jobs: Sequence[Job], show: Show) -> None:
    for job in jobs:
        show.say(f"the story of job {job.id} ({job.name}, {job.native_id} at the scheduler):")
        for entry in login.client.story(job.id).entries:
            at = f"{entry.time:%H:%M:%S}" if entry.time else "--:--:--"
            show.say(f"    {at}  {entry.event:<16} {entry.state}")
        if job.output_tail:
            show.say(_indented(job.output_tail))


def _check(job: Job, output: Path, show: Show) -> None:
    """A job that did not complete, or whose results are not what the site had, fails the demo."""
    if job.state != "completed":
        tail = f"\nthe end of its output:\n{_indented(job.output_tail)}" if job.output_tail else ""
        where = f" in {job.failed_stage}" if job.failed_stage else ""
        raise DemoFailed(f"job {job.id} {job.state}{where}: {_why(job)}{tail}")
    assert job.directory is not None, "a job at a site has a directory"
    left, arrived = digests(Path(job.directory) / "results"), digests(output)
    if left != arrived:
        wrong = sorted(name for name in left.keys() | arrived.keys() if left.get(name) != arrived.get(name))
        raise DemoFailed(f"job {job.id}: the results differ from what the site had: {', '.join(wrong[:10])}")
    files = [digest for digest in arrived.values() if digest]
    show.say(f"job {job.id}: the checksums of {len(files)} result files agree")


def _why(job: Job) -> str:
    """The exit code where there is one, and the error where it says more than that."""
    words = [] if job.exit_code is None else [f"exit code {job.exit_code}"]
    if job.error is not None and job.error.code != "exit_code":
        words.append(f"{job.error.code}: {job.error.detail}")
    return ", ".join(words) or job.state


def digests(top: Path) -> dict[str, str]:
    """SHA-256 of each file below ``top``; directories have an empty digest."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_dir():
            found[name] = ""
        else:
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _input(given: Path | None, state: Path) -> Path:
    if given is not None:
        if not given.is_dir():
            raise DemoFailed(f"INPUT {given} is not a directory")
        return given
    made = state / "lab"
    for name, content in SAMPLE_INPUT.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    return made


def _output(given: Path | None) -> Path:
    if given is None:
        shutil.rmtree(DEFAULT_OUTPUT, ignore_errors=True)
        DEFAULT_OUTPUT.mkdir(parents=True)
        return DEFAULT_OUTPUT
    if not given.is_dir() or any(given.iterdir()):
        raise DemoFailed(f"OUTPUT {given} must be an empty directory")
    return given.resolve()


def _script(given: Path | None) -> bytes:
    if given is None:
        return SAMPLE_SCRIPT.encode()
    if not given.is_file():
        raise DemoFailed(f"SCRIPT {given} is not a file")
    return given.read_bytes()


# -- make up


def _up(asked: argparse.Namespace, state: Path) -> int:
    lab, archive = state / "lab", state / "archive"
    _input(None, state)
    archive.mkdir()
    with Show() as show, Stack(state, input=lab, output=archive, port=asked.port) as stack:
        login = _open(stack, show)
        print(_welcome(stack, login, lab, archive), flush=True)
        waiting = threading.Event()
        while not waiting.wait(1):
            stack.check_alive()
    return 0


def _welcome(stack: Stack, login: Login, lab: Path, archive: Path) -> str:
    document = _document(stack, SAMPLE_SCRIPT.encode(), 0, 1)
    document["name"] = "first"
    document["stage_out"][0]["target"] = f"globus://{stack.collections['archive']}/{{name}}-{{id}}/"
    key = f"-H 'Authorization: Bearer {login.key}'"
    body = json.dumps(document)
    return f"""
qstage is up; Ctrl-C ends all of it.

  web       {stack.url}/
  API key   {login.key}
  lab       {stack.collections["lab"]}   {lab}
  theta     {stack.collections["theta"]}   {stack.site_directory}
  archive   {stack.collections["archive"]}   {archive}

Submit a job, look at it, read its story:

curl -s {key} -H 'Content-Type: application/json' -d '{body}' {stack.url}/v1/jobs
curl -s {key} {stack.url}/v1/jobs/1001
curl -s {key} {stack.url}/v1/jobs/1001/story

Or by the command line, from another shell in this directory (the README goes on from here):

export QSTAGE_URL={stack.url} PATH=$PWD/.venv/bin:$PATH
qstage collections add lab {stack.collections["lab"]}
qstage collections add theta {stack.collections["theta"]}
qstage collections add archive {stack.collections["archive"]}
qstage login --collection lab --collection theta
"""


# -- odds and ends


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _keep_logs(state: Path) -> Path:
    kept = PROJECT / ".state" / "demo" / "logs"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in [*(state / "aws" / "logs").glob("*.log"), *(state / "agent").glob("*.log")]:
        shutil.copy(log, kept)
    return kept


def _named(numbers: Sequence[int]) -> str:
    return f"job {numbers[0]}" if len(numbers) == 1 else f"jobs {', '.join(map(str, numbers))}"


def _indented(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
