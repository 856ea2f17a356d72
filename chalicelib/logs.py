"""Logs as JSON lines: a constant message, and fields. Secrets never come this far: their types hide them."""

from __future__ import annotations

import json
import logging
import sys

FIELDS = ("fields", "incident")


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        for name in FIELDS:
            value = record.__dict__.get(name)
            line |= value if isinstance(value, dict) else {} if value is None else {name: value}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # in ASCII: some readers break lines at U+2028 and U+0085, too


def configure() -> None:
    """Send the project's records to standard error, which Lambda collects, and nobody's twice."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("chalicelib").setLevel(logging.INFO)
