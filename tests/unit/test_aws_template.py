"""CloudFormation templates read as data."""

from pathlib import Path
from typing import Any

import pytest

from emulators.aws.errors import TemplateError
from emulators.aws.template import (
    join_templates,
    needs_sub,
    pseudo_parameters,
    read_template,
    resolve,
    substitute_all,
)

KNOWN: dict[tuple[str, str | None], str] = {
    **{(name, None): value for name, value in pseudo_parameters(account="1", region="r", stack="s").items()},
    ("Table", None): "jobs",
    ("Table", "Arn"): "arn:jobs",
}


def look_up(name: str, attribute: str | None) -> str:
    return KNOWN[name, attribute]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"Ref": "Table"}, "jobs"),
        ({"Ref": "AWS::AccountId"}, "1"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:jobs"),
        ({"Fn::GetAtt": "Table.Arn"}, "arn:jobs"),
        ({"Fn::Sub": "${Table}-${Table.Arn}-${AWS::Region}-${!Table}"}, "jobs-arn:jobs-r-${Table}"),
        ({"Fn::Sub": ["${A}/${Table}", {"A": {"Ref": "AWS::Region"}}]}, "r/jobs"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Table"}]]}, "a-jobs"),
        ({"A": [{"B": {"Ref": "Table"}}], "C": {"Ref": "AWS::NoValue"}}, {"A": [{"B": "jobs"}]}),
        (7, 7),
    ],
)
def test_references_are_resolved(value: Any, found: Any) -> None:
    assert resolve(value, look_up, where="here") == found


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"Ref": "Nothing"}, r"here: unknown reference Nothing"),
        ({"Deep": {"Fn::GetAtt": ["Table", "Colour"]}}, r"here\.Deep: unknown reference Table\.Colour"),
        ({"Fn::ImportValue": "other"}, "here: cannot resolve Fn::ImportValue"),
        ({"Fn::If": ["A", 1, 2]}, "here: cannot resolve Fn::If"),
    ],
)
def test_what_cannot_be_resolved_is_named_with_its_place(value: Any, named: str) -> None:
    with pytest.raises(TemplateError, match=named):
        resolve(value, look_up, where="here")


def test_policy_files_may_hold_placeholders_in_plain_strings() -> None:
    policy = {
        "Resource": ["arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:q", {"Fn::GetAtt": ["Table", "Arn"]}],
        "Own": "${aws:username}",
    }
    assert substitute_all(policy, look_up, where="policy") == {
        "Resource": ["arn:aws:sqs:r:1:q", "arn:jobs"],
        "Own": "${aws:username}",
    }
    assert needs_sub("${AWS::Region}")
    assert not needs_sub("${aws:username}")


def test_yaml_with_short_tags_reads_as_json_does(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        "Resources:\n  A:\n    P: !Ref B\n    Q: !GetAtt B.C.D\n    R: !Sub 'x${B}'\n    S: !Join ['', [a, !Ref B]]\n"
    )
    assert read_template(path)["Resources"]["A"] == {
        "P": {"Ref": "B"},
        "Q": {"Fn::GetAtt": ["B", "C.D"]},
        "R": {"Fn::Sub": "x${B}"},
        "S": {"Fn::Join": ["", ["a", {"Ref": "B"}]]},
    }


def test_two_templates_make_one_stack_but_never_one_resource() -> None:
    one, other = {"Resources": {"A": {"Type": "x"}}}, {"Resources": {"B": {"Type": "y"}}}
    assert set(join_templates([one, other])["Resources"]) == {"A", "B"}
    with pytest.raises(TemplateError, match=r"Resources\.A is defined twice"):
        join_templates([one, {"Resources": {"A": {"Type": "z"}}}])
