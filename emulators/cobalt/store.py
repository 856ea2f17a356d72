"""The jobs on disk: one SQLite file, one row a job, so that a restart finds them as they were.

It keeps and returns jobs; it decides nothing. A finished job has no row. The next job id outlives its job.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emulators.cobalt.jobs import Job, Spec, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (jobid INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


def encode_spec(spec: Spec) -> dict[str, Any]:
    """Return a spec as what JSON can carry."""
    return asdict(spec)


def decode_spec(document: Mapping[str, Any]) -> Spec:
    """Return the spec of a JSON document. Raises TypeError for a field that is none."""
    values = dict(document)
    for name in ("args", "dependencies", "user_list", "geometry"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    return Spec(**values)


def _encode(job: Job) -> str:
    values = asdict(job)
    values["satisfied"] = sorted(job.satisfied)
    return json.dumps(values)


def _decode(text: str) -> Job:
    values = json.loads(text)
    values["spec"] = decode_spec(values["spec"])
    values["state"] = State(values["state"])
    values["satisfied"] = frozenset(values["satisfied"])
    values["location"] = tuple(values["location"])
    return Job(**values)


class Store:
    """The file. One connection under a lock: callers may be several threads of one process."""

    def __init__(self, path: Path, first_job_id: int) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO counter VALUES ('next', ?)", (first_job_id,))

    def take_id(self) -> int:
        """Return a job id never returned before."""
        with self._lock:
            row = self._db.execute("UPDATE counter SET value = value + 1 WHERE name = 'next' RETURNING value")
            return int(row.fetchall()[0][0]) - 1

    def save(self, job: Job) -> None:
        """Write the job, whether it is new or not; on return it survives this process."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO job VALUES (?, ?)", (job.jobid, _encode(job)))

    def remove(self, jobid: int) -> None:
        """Forget a job; one that is not there is no fault."""
        with self._lock:
            self._db.execute("DELETE FROM job WHERE jobid = ?", (jobid,))

    def load(self) -> dict[int, Job]:
        """Return every job, by id, in the order of the ids."""
        with self._lock:
            rows = self._db.execute("SELECT jobid, document FROM job ORDER BY jobid").fetchall()
        return {jobid: _decode(text) for jobid, text in rows}

    def close(self) -> None:
        with self._lock:
            self._db.close()
