"""What each function's environment holds, by the template that is deployed and what the local run puts
before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulators.aws.project import Function
from emulators.aws.template import Lookup, TemplateError, substitute_all

ALL = "*"


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
