"""Builds the deployable package: `python -m infra.package`, which `make package` runs.

Runs `chalice package`, mends in its template what Chalice cannot say (`infra.mend`), ships bytecode with
the code (`infra.bytecode`), and then doubts the result: cfn-lint finds nothing, the archives hold what
belongs in Lambda and no more, importing the app loads none of the tools of this repository. Needs no
credentials and no region: what it builds names neither.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators.aws.template import read_template
from infra.bytecode import ship_bytecode
from infra.mend import MendError, mend

DEPLOYMENT, LAYER, TEMPLATE = "deployment.zip", "layer-deployment.zip", "sam.json"
# Everything else in app.py's archive is a mistake: Chalice takes whatever lies under chalicelib/ and vendor/.
ALLOWED = ("app.py", "chalicelib/", "chalice/", "__pycache__/app.")
MISPLACED = ("tests/", "/test_", "conftest.py", "emulators/")
TOOLS = ("moto", "psij", "click", "rich", "emulators", "qstage", "pytest", "hypothesis")
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: code and layers together, unzipped
UNZIPPED_LIMIT = 250 * 1024 * 1024


class PackageError(Exception):
    """The package would not do in Lambda; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One archive, in bytes."""

    name: str
    zipped: int
    unzipped: int
    files: int


def build(project: Path, *, template: Path, stage: str, out: Path) -> list[Size]:
    """Build into ``out``, which is made anew.

    :raises PackageError: and leaves no template in ``out``, so that a refused package is not deployed.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    _chalice_package(project, template, stage, out)
    merged = out / TEMPLATE
    try:
        _check_layer(out)
        mended = mend(json.loads(merged.read_text()), read_template(template))
        merged.write_text(json.dumps(mended, indent=2) + "\n")
        _lint(merged)
        _check_contents(out / DEPLOYMENT)
        _check_import(out / DEPLOYMENT)
        for archive in (DEPLOYMENT, LAYER):
            ship_bytecode(out / archive)
        return _sizes(out)
    except (PackageError, MendError) as error:
        merged.unlink(missing_ok=True)
        raise PackageError(str(error)) from error


def bare_environment() -> dict[str, str]:
    """What a build may know of this machine: no credentials, no profile. The region is never written down."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE") if name in os.environ
    }
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "REQUESTS_CA", "HTTPS_PROXY"))}
    return {
        **kept,
        **pip,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",  # botocore will not make a client without one
    }


def _run(command: list[str], *, cwd: Path, what: str, environment: Mapping[str, str] | None = None) -> str:
    ran = subprocess.run(
        command, cwd=cwd, env=dict(environment or bare_environment()), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise PackageError(f"{what}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def _chalice_package(project: Path, template: Path, stage: str, out: Path) -> None:
    command = [sys.executable, "-c", _CHALICE, "package", "--stage", stage]
    command += ["--merge-template", str(template.resolve()), str(out.resolve())]
    _run(command, cwd=project, what="chalice package failed")


_CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
_CFN_LINT = "import sys; from cfnlint.runner import main; sys.exit(main())"


def _check_layer(out: Path) -> None:
    if not (out / LAYER).exists():
        raise PackageError('no layer was built: .chalice/config.json must say "automatic_layer": true')


def _lint(template: Path) -> None:
    _run(
        [sys.executable, "-c", _CFN_LINT, template.name],
        cwd=template.parent,
        what="cfn-lint has findings",
    )


def _check_contents(archive: Path) -> None:
    with zipfile.ZipFile(archive) as files:
        names = files.namelist()
    if wrong := [
        name for name in names if not name.startswith(ALLOWED) or any(part in f"/{name}" for part in MISPLACED)
    ]:
        raise PackageError(f"{archive.name} holds what does not belong in Lambda: {', '.join(wrong)}")


def _check_import(archive: Path) -> None:
    """Import the packaged app alone; everything else on this machine is there to be loaded by mistake."""
    with tempfile.TemporaryDirectory() as task:
        with zipfile.ZipFile(archive) as files:
            files.extractall(task)
        said = _run(
            [sys.executable, "-P", "-c", _LOADED],
            cwd=Path(task),
            what="the packaged app does not import",
            environment={**bare_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    loaded: Any = json.loads(said)
    if wrong := sorted(set(loaded) & set(TOOLS)):
        raise PackageError(f"importing app loads {', '.join(wrong)}")


_LOADED = "import sys, json; sys.path.insert(0, '.'); import app; print(json.dumps([*sys.modules]))"


def _sizes(out: Path) -> list[Size]:
    sizes = []
    for name in (DEPLOYMENT, LAYER):
        with zipfile.ZipFile(out / name) as files:
            members = files.infolist()
        unzipped = sum(member.file_size for member in members)
        sizes.append(Size(name=name, zipped=(out / name).stat().st_size, unzipped=unzipped, files=len(members)))
    if (total := sum(size.unzipped for size in sizes)) > UNZIPPED_LIMIT:
        raise PackageError(f"{total} bytes unzipped are over Lambda's limit of {UNZIPPED_LIMIT}")
    return sizes


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description="Build the deployable package")
    parser.add_argument("--project", type=Path, default=Path(), help="the directory of app.py (default: this one)")
    parser.add_argument("--merge-template", type=Path, help="default: infra/template.json in the project")
    parser.add_argument("--stage", default="prod", help="Chalice's stage (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/package"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    template = options.merge_template or options.project / "infra/template.json"
    try:
        sizes = build(options.project, template=template, stage=options.stage, out=options.out)
    except PackageError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    for size in sizes:
        print(
            f"{size.name:<22} {size.zipped / 1e6:6.2f} MB zipped {size.unzipped / 1e6:7.2f} MB unzipped"
            f" {size.files:5} files"
        )
    print(f"package: {options.out / TEMPLATE} is ready for `aws cloudformation package` and `deploy`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
