"""The package that is deployed: built from a small project by the real tools, and taken apart again."""

import importlib.util
import json
import marshal
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.mend import MendError, mend, read_placeholders
from infra.package import PackageError, bare_environment, build

PROJECT = Path(__file__).parent / "fixtures" / "aws_project"


def copied(directory: Path) -> Path:
    """The fixture as a project with a layer of one small package that needs no index: it lies beside it."""
    project = directory / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    config = json.loads((project / ".chalice/config.json").read_text())
    (project / ".chalice/config.json").write_text(json.dumps({**config, "automatic_layer": True}))
    chalicelib = project / "chalicelib"
    chalicelib.mkdir()
    (chalicelib / "__init__.py").write_text("")
    (chalicelib / "answer.py").write_text("ANSWER = {'a', 'b', 'c'} and 42\n")
    vendored = project / "vendor" / "small_dependency"
    vendored.mkdir(parents=True)
    (vendored / "__init__.py").write_text("NAME = 'small'\n")
    (project / "requirements.txt").write_text("")
    return project


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("package")
    project = copied(directory)
    build(project, template=project / "infra/template.json", stage="prod", out=directory / "out")
    return directory / "out"


def test_every_source_has_bytecode_that_python_takes_unchecked(built: Path) -> None:
    with zipfile.ZipFile(built / "deployment.zip") as files:
        names = set(files.namelist())
        sources = {name for name in names if name.endswith(".py")}
        assert {"app.py", "chalicelib/answer.py"} <= sources
        for source in sources:
            compiled = files.read(importlib.util.cache_from_source(source))
            assert compiled[:4] == importlib.util.MAGIC_NUMBER
            assert compiled[4:8] == b"\x01\0\0\0", "hash-based and unchecked (PEP 552)"
            assert marshal.loads(compiled[16:]).co_filename == f"/{source}"


def test_a_second_build_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    project = copied(tmp_path)
    build(project, template=project / "infra/template.json", stage="prod", out=tmp_path / "out")
    for name in ("deployment.zip", "layer-deployment.zip", "sam.json"):
        assert (tmp_path / "out" / name).read_bytes() == (built / name).read_bytes(), name


def test_the_mapping_depends_on_its_queue_and_policies_read_their_placeholders(built: Path) -> None:
    resources = json.loads((built / "sam.json").read_text())["Resources"]
    (source,) = resources["Work"]["Properties"]["Events"].values()
    assert source["Properties"]["Queue"] == {"Fn::GetAtt": ["WorkQueue", "Arn"]}
    (policy,) = resources["ApiHandlerRole"]["Properties"]["Policies"]
    assert policy["PolicyDocument"]["Statement"][1]["Resource"] == {
        "Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:small-work"
    }


def test_the_package_names_no_region_account_or_directory_of_the_builder(built: Path) -> None:
    text = (built / "sam.json").read_text()
    for forbidden in ("us-east-1", "123456789012", str(built.parent), str(Path.home())):
        assert forbidden not in text


def test_a_build_knows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(name, "mine")
    assert "mine" not in bare_environment().values()


def break_app(text: str) -> Callable[[Path], None]:
    def damage(project: Path) -> None:
        app = project / "app.py"
        app.write_text(text + app.read_text())

    return damage


def add(path: str, text: str = "") -> Callable[[Path], None]:
    def damage(project: Path) -> None:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)

    return damage


def in_template(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def damage(project: Path) -> None:
        path = project / "infra/template.json"
        template = json.loads(path.read_text())
        change(template["Resources"])
        path.write_text(json.dumps(template))

    return damage


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (break_app("import click\n"), "importing app loads click"),
        (break_app("import no_such_module\n"), "no_such_module"),
        (add("chalicelib/tests/test_it.py"), "chalicelib/tests/test_it.py"),
        (add("chalicelib/emulators/x.py"), "chalicelib/emulators/x.py"),
        (in_template(lambda r: r["Dead"]["Properties"].update(QueueNam="x")), "QueueNam"),
        (in_template(lambda r: r.update(Nobody={"Properties": {}})), "Nobody, but the app has no such function"),
        (in_template(lambda r: r["WorkQueue"]["Properties"].update(QueueName="y")), "Work: the template has no queue"),
    ],
)
def test_a_package_that_would_not_do_is_refused_and_not_left_to_deploy(
    tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    project = copied(tmp_path)
    damage(project)
    with pytest.raises(PackageError, match=named):
        build(project, template=project / "infra/template.json", stage="prod", out=tmp_path / "out")
    assert not (tmp_path / "out" / "sam.json").exists()


def test_the_command_prints_sizes_and_ends_well(tmp_path: Path) -> None:
    project = copied(tmp_path)
    command = [sys.executable, "-m", "infra.package", "--project", str(project), "--out", str(tmp_path / "out")]
    ran = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "deployment.zip" in ran.stdout
    assert "MB unzipped" in ran.stdout
    assert os.listdir(tmp_path / "out")


def test_a_queue_whose_name_begins_with_the_stacks_is_found_by_the_rest() -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${AWS::StackName}-wake"}}}
    event: dict[str, Any] = {"Type": "SQS", "Properties": {"Queue": {"Fn::Sub": "arn:${AWS::Partition}:sqs:r:a:wake"}}}
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Events": {"E": event}, "Tracing": "Active"}}
    api: dict[str, Any] = {"Type": "AWS::Serverless::Api", "Properties": {}}
    packaged = {"Resources": {"Wake": queue, "F": function, "RestAPI": api}}
    mended = mend(packaged, {"Resources": {"Wake": queue}})["Resources"]
    assert mended["F"]["Properties"]["Events"]["E"]["Properties"]["Queue"] == {"Fn::GetAtt": ["Wake", "Arn"]}
    assert mended["RestAPI"]["Properties"]["TracingEnabled"] is True
    assert event["Properties"]["Queue"] == {"Fn::Sub": "arn:${AWS::Partition}:sqs:r:a:wake"}, "the input is left alone"
    with pytest.raises(MendError, match="no queue wake"):
        mend(packaged, {"Resources": {}})


def test_only_cloudformations_placeholders_are_read() -> None:
    assert read_placeholders({"A": ["${AWS::Region}", "${aws:username}", "plain", {"Fn::Sub": "${X}"}]}) == {
        "A": [{"Fn::Sub": "${AWS::Region}"}, "${aws:username}", "plain", {"Fn::Sub": "${X}"}]
    }
