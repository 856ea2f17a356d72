"""What each function's environment holds, by the template that is deployed and what the local run puts
before it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from emulators.aws.errors import TemplateError
from emulators.aws.gate import Keys
from emulators.aws.project import Function
from emulators.aws.template import Lookup, substitute_all

ALL = "*"


def function_variables(name: str, *, account: str) -> dict[str, str]:
    """What Lambda tells any function. PATH is the machine's; nothing else of this process reaches a
    function."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "EMULATED_ACCOUNT": account,
    }


def aws_variables(keys: Keys, *, region: str, endpoint_url: str) -> dict[str, str]:
    """What makes the AWS clients of a process those of one caller; the machine's own AWS settings have no
    say."""
    return {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


class FunctionSettings:
    """Resolves variables on demand: one that the local run replaces need not be resolvable here."""

    def __init__(self, template: Mapping[str, Any], overrides: Mapping[str, Mapping[str, str]], lookup: Lookup) -> None:
        self._resources: Mapping[str, Any] = template.get("Resources", {})
        self._overrides, self._lookup = overrides, lookup

    def of(self, function: Function) -> dict[str, str]:
        """:raises TemplateError: for a reference that nothing answers."""
        replaced = {**self._overrides.get(ALL, {}), **self._overrides.get(function.name, {})}
        given = {**_variables(self._resources.get(function.logical_id, {})), **replaced}
        where = f"{function.name}.Environment"
        return {
            name: str(substitute_all(value, self._lookup, where=f"{where}.{name}")) for name, value in given.items()
        }

    def for_import(self) -> dict[str, str]:
        """What any function is given, for the one import that asks the project what it declares."""
        found: dict[str, str] = {}
        given = [_variables(resource) for resource in self._resources.values()]
        for name, value in [pair for one in (*given, *self._overrides.values()) for pair in one.items()]:
            try:
                found[name] = str(substitute_all(value, self._lookup, where=name))
            except TemplateError:
                continue  # of() says so, for the function that has it
        return found


def _variables(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    variables: Mapping[str, Any] = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
    return variables
