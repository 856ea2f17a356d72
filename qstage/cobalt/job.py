"""The job that qsub made of a command line, and what the machine answers while it is made.

Both are data: which checks are asked, and in what order, is the reading's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field


def _yes(_: str) -> bool:
    return True


def _join(cwd: str, word: str) -> str:
    return word if word.startswith("/") else f"{cwd}/{word}"


def _as_given(ids: Iterable[str]) -> set[str]:
    return set(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What the machine says. Every default answers yes.

    ``known_jobs`` returns those of the given ids that are in the queue. ``place_command`` turns the
    executable's word into its path; ``system_size`` is the most nodes a job may name.
    """

    is_dir: Callable[[str], bool] = _yes
    is_file: Callable[[str], bool] = _yes
    is_runnable: Callable[[str], bool] = _yes
    has_user: Callable[[str], bool] = _yes
    known_jobs: Callable[[Iterable[str]], set[str]] = _as_given
    place_command: Callable[[str, str], str] = _join
    system_size: int = 1024
    blue_gene_q: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Qsub:
    """A job as qsub understood it. None means that nothing was said and no default of qsub's applies.

    ``argv`` is the line with the directives put in. ``walltime`` is in minutes, 0 for the maximum.
    ``given`` holds the dests of Cobalt's options that were written. ``stdout`` and ``stderr`` are what qsub
    says before it prints the job's id.
    """

    argv: tuple[str, ...]
    command: str | None
    args: tuple[str, ...]
    nodes: int
    walltime: int
    cwd: str
    outputdir: str
    user_list: tuple[str, ...]
    procs: int | None = None
    project: str | None = None
    queue: str = "default"
    outputpath: str | None = None
    errorpath: str | None = None
    cobalt_log_file: str | None = None
    inputfile: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, str] = field(default_factory=dict)
    dependencies: str | None = None
    run_project: bool = False
    notify: str | None = None
    umask: int = 0o022
    user_hold: bool = False
    jobname: str | None = None
    mode: str | None = None
    geometry: tuple[int, ...] | None = None
    kernel: str = "default"
    kerneloptions: str | None = None
    ion_kernel: str = "default"
    ion_kerneloptions: str | None = None
    preemptable: bool = False
    script_preboot: bool = True
    debug: bool = False
    given: frozenset[str] = frozenset()
    added: tuple[tuple[str, str | None], ...] = ()
    own_lines: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""
