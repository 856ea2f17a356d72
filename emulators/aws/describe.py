"""Prints, as JSON, what a Chalice app object declares. Run in the project's directory, in a process of its
own."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def describe(app: Any) -> dict[str, Any]:
    """The routes and functions of a Chalice app, by its own registries."""
    functions = [
        {"name": one.name, "handler": one.handler_string, "kind": "invoked"} for one in app.pure_lambda_functions
    ]
    routes = [
        {
            "path": path,
            "method": method,
            "cors": entry.cors.get_access_control_headers() if entry.cors else None,
        }
        for path, methods in app.routes.items()
        for method, entry in methods.items()
    ]
    return {
        "app": app.app_name,
        "functions": functions + [_source(one) for one in app.event_sources],
        "routes": routes,
        "binary_types": app.api.binary_types,
    }


def _source(source: Any) -> dict[str, Any]:
    from chalice.app import ScheduledEventConfig, SQSEventConfig

    found = {"name": source.name, "handler": source.handler_string}
    if isinstance(source, SQSEventConfig):
        return {
            **found,
            "kind": "queue",
            "queue": source.queue or (source.queue_arn or "").rpartition(":")[2],
            "batch_size": source.batch_size,
            "maximum_concurrency": source.maximum_concurrency,
        }
    if isinstance(source, ScheduledEventConfig):
        said = source.schedule_expression
        return {**found, "kind": "schedule", "schedule": said if isinstance(said, str) else said.to_string()}
    return {**found, "kind": type(source).__name__}


if __name__ == "__main__":
    sys.path.insert(0, ".")
    answer_to, sys.stdout = sys.stdout, sys.stderr  # what the project prints is not the answer
    json.dump(describe(importlib.import_module("app").app), answer_to)
