"""docs/cobalt-session.md is typed again, line by line, and every answer compared.

After a change that is meant, ``QSTAGE_WRITE_SESSION=1`` puts the answers of a run into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_stack import opened

from emulators.stack import USER, Stack
from qstage.cli.settings import Login, Settings, save

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cobalt-session.md"
SCRIPTS = {
    "md.sh": """\
#!/bin/bash
#COBALT -n 2 -t 30 -A chem
#QSTAGE stage-in lab:/=inputs/
#QSTAGE stage-out results/=archive:/{name}-{id}/
mkdir -p results
cat inputs/*.txt | sort > results/sorted.txt
""",
    "wait.sh": "#!/bin/bash\nsleep 600\n",
}
PATIENCE = 120
"""Seconds that an answer may take to become what the page says: a job moves on by itself."""


class Shell:
    """A shell of the user, signed in, with qstage and what ``qstage shim`` writes on its PATH."""

    def __init__(self, home: Path, stack: Stack) -> None:
        self.home = home
        bin_ = home / "bin"
        bin_.mkdir()
        (bin_ / "qstage").write_text(f'#!/bin/sh\nexec {sys.executable} -m qstage.cli "$@"\n')
        (bin_ / "qstage").chmod(0o755)
        for name, text in SCRIPTS.items():
            (home / name).write_text(text)
            (home / name).chmod(0o755)
        (home / "archive").symlink_to(stack.globus.directory("archive"))
        assert stack.login is not None
        config = home / "config.toml"
        save(Settings(path=config, url=stack.url, logins={stack.url: Login(key=stack.login.key, username=USER)}))
        self.environment = {
            "PATH": f"{bin_}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT),
            "QSTAGE_CONFIG": str(config), "LAB": stack.collections["lab"], "ARCHIVE": stack.collections["archive"],
        }  # fmt: skip

    def type(self, line: str) -> str:
        ended = subprocess.run(
            ["bash", "-c", line],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return re.sub(r"[ \t]+$", "", ended.stdout.replace(str(self.home), "/home/you"), flags=re.MULTILINE)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with opened(tmp_path) as stack:
        (tmp_path / "home").mkdir()
        yield Shell(tmp_path / "home", stack)


def read_page(text: str) -> list[tuple[str, str]]:
    """The typed lines of the page's console blocks, each with the answer below it."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    pieces = [piece for block in blocks for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(line, answer) for line, _, answer in (piece.partition("\n") for piece in pieces)]


def test_a_cobalt_users_session_is_answered_as_the_page_says(shell: Shell) -> None:
    typed = read_page(PAGE.read_text())
    assert len(typed) > 20
    if os.environ.get("QSTAGE_WRITE_SESSION"):
        PAGE.write_text(write_page(PAGE.read_text(), shell))
        typed = []
    for line, answer in typed:
        end = time.monotonic() + PATIENCE
        # Only looking may be done again: what acts is typed once, as by a person.
        looks = line.startswith("qstat")
        while (said := shell.type(line)) != answer and looks and time.monotonic() < end:
            time.sleep(1)
        assert said == answer, line


def write_page(text: str, shell: Shell) -> str:
    """The page with the answers of this run; looks are taken when the job has come to rest."""

    def answered(block: re.Match[str]) -> str:
        lines = [line for line, _ in read_page(block[0])]
        told = []
        for line in lines:
            if line.startswith("qstat"):
                time.sleep(6)
            told.append(f"$ {line}\n{shell.type(line)}")
        return "```console\n" + "".join(told) + "```"

    return re.sub(r"```console\n.*?```", answered, text, flags=re.DOTALL)
