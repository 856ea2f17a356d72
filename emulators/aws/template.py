"""A CloudFormation template read as data: parameters, references, and nothing guessed.

Owns Ref, Fn::GetAtt, Fn::Sub and Fn::Join over the resources this stack makes, and the pseudo parameters. Any
other intrinsic, and a reference to a resource of another kind, is an error that names itself and its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from emulators.aws.errors import TemplateError

Lookup = Callable[[str, str | None], Any]
"""From (logical id, attribute or None for Ref) to the value; raises KeyError for an unknown one."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def read_template(path: Path) -> dict[str, Any]:
    """Read one template file, JSON or YAML by its name's ending."""
    text = path.read_text()
    found = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
    if not isinstance(found, dict):
        raise TemplateError(f"{path}: not a template")
    return found


def join_templates(templates: list[dict[str, Any]]) -> dict[str, Any]:
    """One template of several, as one stack would hold them. The same logical id twice is an error."""
    joined: dict[str, Any] = {"Resources": {}, "Parameters": {}}
    for template in templates:
        for section in ("Resources", "Parameters"):
            for name, value in template.get(section, {}).items():
                if name in joined[section] and joined[section][name] != value:
                    raise TemplateError(f"{section}.{name} is defined twice")
                joined[section][name] = value
    return joined


def pseudo_parameters(*, account: str, region: str, stack: str) -> dict[str, str]:
    return {
        "AWS::AccountId": account,
        "AWS::Region": region,
        "AWS::Partition": "aws",
        "AWS::StackName": stack,
        "AWS::URLSuffix": "amazonaws.com",
    }


def resolve(value: Any, lookup: Lookup, *, where: str) -> Any:
    """Replace every intrinsic in ``value``. A property that resolves to AWS::NoValue is dropped."""
    if isinstance(value, list):
        return [resolve(item, lookup, where=where) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, argument),) = value.items()
        if name == "Ref" or name.startswith("Fn::"):
            return _intrinsic(name, argument, lookup, where)
    return {
        key: resolve(item, lookup, where=f"{where}.{key}")
        for key, item in value.items()
        if item != {"Ref": "AWS::NoValue"}
    }


def _intrinsic(name: str, argument: Any, lookup: Lookup, where: str) -> Any:
    if name == "Ref":
        return _look_up(lookup, argument, None, where)
    if name == "Fn::GetAtt":
        logical, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return _look_up(lookup, logical, attribute, where)
    if name == "Fn::Sub":
        text, extra = (argument, {}) if isinstance(argument, str) else argument
        local = {key: resolve(item, lookup, where=where) for key, item in extra.items()}
        return substitute(text, lookup, where=where, local=local)
    if name == "Fn::Join":
        separator, parts = argument
        return separator.join(str(part) for part in resolve(parts, lookup, where=where))
    raise TemplateError(f"{where}: cannot resolve {name}")


_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")


def substitute(text: str, lookup: Lookup, *, where: str, local: Mapping[str, Any] | None = None) -> str:
    """Fn::Sub on one string: ``${Name}``, ``${Name.Attribute}``, and ``${!Literal}`` for a literal."""

    def one(found: re.Match[str]) -> str:
        name, _, attribute = found[1].strip().partition(".")
        if local and found[1] in local:
            return str(local[found[1]])
        return str(_look_up(lookup, name, attribute or None, where))

    return _PLACEHOLDER.sub(one, text).replace("${!", "${")


def _look_up(lookup: Lookup, name: str, attribute: str | None, where: str) -> Any:
    try:
        return lookup(name, attribute)
    except KeyError:
        raise TemplateError(f"{where}: unknown reference {name}{'.' + attribute if attribute else ''}") from None


def substitute_all(value: Any, lookup: Lookup, *, where: str) -> Any:
    """Resolve intrinsics, then ``${...}`` in plain strings too: the convention of policy files and settings.

    The packaging step wraps such strings in Fn::Sub, so that a deployment reads them alike. IAM's own
    variables (``${aws:username}``, lower case) are left alone.
    """
    if isinstance(value, dict) and not (len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))):
        return {key: substitute_all(item, lookup, where=f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [substitute_all(item, lookup, where=where) for item in value]
    if isinstance(value, str):
        return substitute(value, lookup, where=where) if needs_sub(value) else value
    return resolve(value, lookup, where=where)


def needs_sub(text: str) -> bool:
    """Whether a plain string has a CloudFormation placeholder."""
    return any(found[1][:1].isupper() for found in _PLACEHOLDER.finditer(text))
