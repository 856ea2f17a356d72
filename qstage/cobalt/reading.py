"""One reading of qsub's (or qalter's) options: each is refused where it stands or kept.

This file owns what each option's value must be and the paths made of them. It does not open the script, and
it does not know what is required: ``qsub`` does.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks
from qstage.cobalt.usage import fatal, read_options, usage_text
from qstage.cobalt.values import (
    read_attrs,
    read_env,
    read_geometry,
    read_mode,
    read_umask,
    read_walltime,
)
from qstage.cobalt.words import Given, Table


def refused(message: str) -> UsageError:
    """Return the end of a command that one of Cobalt's own checks refuses."""
    return UsageError(1, stderr=f"{message}\n")


class Reading:
    """One pass over the words, or two: the second forgets the values of the first but not what was
    printed."""

    command = "qsub"

    def __init__(self, table: Table, user: str, checks: Checks, prog: str) -> None:
        self.table, self.user, self.checks, self.prog = table, user, checks, prog
        self.out = self.err = ""
        self._forget()

    def _forget(self) -> None:
        self.texts: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        self.flags: set[str] = set()
        self.envs: dict[str, str] | None = None
        self.attrs: dict[str, str] | None = None
        self.geometry: tuple[int, ...] | None = None
        self.mode: str | None = None
        self.user_list: tuple[str, ...] | None = None
        self.given: set[str] = set()
        self.added: list[tuple[str, str | None]] = []

    def read(self, argv: Sequence[str]) -> None:
        self._forget()
        self.argv = tuple(argv)
        self.rest = read_options(self.command, self.table, argv, self.meet, self.prog)

    def meet(self, given: Given) -> None:
        """Take one option: refuse it here or keep its value."""
        dest, value = given.option.dest, given.value
        if given.added:
            self.added.append((given.name, None if value is None else str(value)))
            return
        try:
            if isinstance(value, int):
                self._take_number(given.name, dest, value)
            elif value is None:
                self._take_flag(dest)
            else:
                self._take_text(dest, value)
        except ValueError as refusal:
            raise UsageError(1, stderr=f"{refusal}\n") from None
        self.given.add(dest)

    def _take_number(self, name: str, dest: str, value: int) -> None:
        if dest == "nodes" and not 0 < value <= self.checks.system_size:
            raise ValueError("node count out of realistic range")
        if dest == "procs" and value <= 0:
            raise ValueError(f"{name} is {value} which is greater <= to zero")
        self.numbers[dest] = value

    def _take_flag(self, dest: str) -> None:
        if dest == "interactive":
            self._take_text("mode", "interactive")
        self.flags.add(dest)

    def _take_text(self, dest: str, value: str) -> None:
        match dest:
            case "walltime":
                if not value:
                    raise fatal("string index out of range")
                self.numbers["walltime"] = read_walltime(value)
            case "umask":
                self.numbers["umask"] = read_umask(value)
            case "envs":
                self.envs = read_env(value)
            case "attrs":
                if self.attrs is not None:
                    raise ValueError(
                        "Multiple --attrs options not supported.  "
                        "Specify multiple attributes as follows: --attrs FOO=1:BAR=2"
                    )
                self.attrs = read_attrs(value)
            case "geometry":
                self.geometry = read_geometry(value)
            case "mode":
                self.mode = read_mode(value, self.mode, blue_gene_q=self.checks.blue_gene_q)
            case "user_list":
                self.user_list = self._users(value)
            case "dependencies":
                self._say_dependencies(value)
                self.texts[dest] = value
            case "outputpath" | "errorpath" | "cobalt_log_file" | "outputprefix" | "inputfile":
                if value.startswith("/"):
                    self._directory_of(value)
                self.texts[dest] = value
            case _:
                self.texts[dest] = value

    def _users(self, text: str) -> tuple[str, ...]:
        users = text.split(":")
        for name in users:
            if not self.checks.has_user(name):
                raise ValueError(f"user {name} does not exist.")
        return tuple(users) if self.user in users else (self.user, *users)

    def _say_dependencies(self, text: str) -> None:
        if text.lower() == "none":
            self.out += "Removing job dependencies\n"
            return
        ids = list(dict.fromkeys(text.split(":")))
        known = self.checks.known_jobs(ids)
        missing = [one for one in ids if one not in known]
        if missing:
            self.err += f"WARNING: dependencies {':'.join(missing)} do not match jobs currently in the queue\n"

    def _directory_of(self, path: str) -> None:
        if not self.checks.is_dir(posixpath.dirname(path)):
            raise ValueError(f"directory {path} does not exist")

    def executable(self, cwd: str) -> tuple[str | None, tuple[str, ...]]:
        """Return the executable's path and its arguments; (None, ()) for an interactive job."""
        if self.mode == "interactive":
            if self.rest:
                raise refused("An executable may not be specified if using the interactive option.")
            return None, ()
        if not self.rest:
            usage = usage_text("qsub", self.prog)
            raise UsageError(1, stdout=usage, stderr="No executable or script specified\n\n")
        word = self.rest[0].replace(" ", "")  # Cobalt drops the blanks of a path, so such a file is never found
        if not word:
            raise fatal("string index out of range")
        return self.checks.place_command(self.texts.get("cwd", cwd), word), self.rest[1:]

    def placed(self, cwd: str) -> dict[str, str]:
        """Return the job's paths, relative ones below ``cwd``, their directories checked."""
        if not self.checks.is_dir(posixpath.dirname(cwd)):
            raise ValueError(f"directory {cwd} does not exist")
        names = ("outputpath", "errorpath", "cobalt_log_file", "inputfile")
        paths = {name: self.texts[name] for name in names if name in self.texts}
        prefix = self.texts.get("outputprefix")
        if prefix is not None:
            endings = {"outputpath": ".output", "errorpath": ".error", "cobalt_log_file": ".cobaltlog"}
            paths = {name: prefix + ending for name, ending in endings.items()} | paths
        for name in names:
            if name in paths and not paths[name].startswith("/"):
                paths[name] = f"{cwd}/{paths[name]}"
                self._directory_of(paths[name])
        return paths
