"""The grammars of the values of qsub's options, each a function from text to a typed value.

They own the reading and the refusals, in Cobalt's words; which option uses which, and what a refusal does
to the command, is the caller's. Every refusal is a ``ValueError`` whose text is the complete message.
"""

from __future__ import annotations

import re

from qstage.cobalt.words import plain_int

_LONGEST_MINUTES = 2**31
_TIME_FIELDS = {
    1: ("minutes",),
    2: ("hours", "minutes"),
    3: ("hours", "minutes", "seconds"),
    4: ("days", "hours", "minutes", "seconds"),
}
# Cobalt reads the fields in the order its dictionary happens to have: the first bad one is the one it names.
_READING_ORDER = ("hours", "seconds", "minutes", "days")

_BLUE_GENE_Q_MODES = ("c1", "c2", "c4", "c8", "c16", "c32", "c64", "script", "interactive")
_OTHER_MODES = ("co", "vn", "script", "interactive")

_NEXT_VARIABLE = re.compile(r":(?=\w+\b=)", re.ASCII)
_COLON, _EQUALS = "\0colon\0", "\0equals\0"
_OCTAL = re.compile(r"\s*[+-]?(0[oO])?[0-7]+\s*", re.ASCII)
_GEOMETRY = re.compile(r"([0-9]+)x([0-9]+)x([0-9]+)x([0-9]+)(?:x([12]))?")


def read_walltime(text: str) -> int:
    """Read ``-t``: minutes, HH:MM, HH:MM:SS or DD:HH:MM:SS. Returns whole minutes; 0 asks for the maximum.

    Seconds are checked and then dropped. Hours and minutes may exceed their range, and minutes may be
    negative when hours are given: Cobalt lets both pass.
    """
    parts = text.split(":")
    names = _TIME_FIELDS.get(len(parts))
    if names is None:
        raise _bad_time("time may be specified as minutes, HH:MM, HH:MM:SS, or DD:HH:MM:SS")
    raw = dict(zip(names, parts, strict=True))
    fields: dict[str, int] = {}
    for name in _READING_ORDER:
        if name in raw:
            try:
                fields[name] = plain_int(raw[name])
            except ValueError:
                raise _bad_time(f"illegal value '{raw[name]}' for {name}") from None
    _check_ranges(fields)
    minutes = fields["minutes"] + 60 * fields.get("hours", 0) + 1440 * fields.get("days", 0)
    if minutes > _LONGEST_MINUTES:
        raise _bad_time(f"{minutes // 525600} years is too long")
    return minutes


def _check_ranges(fields: dict[str, int]) -> None:
    seconds = fields.get("seconds", 0)
    if not 0 <= seconds <= 59:
        raise _bad_time(f"seconds value '{seconds}' outside range [0, 59]")
    if len(fields) == 1 and fields["minutes"] < 0:
        raise _bad_time("minutes value must not be negative")
    if len(fields) < 4 and fields.get("hours", 0) < 0:
        raise _bad_time("hours value must not be negative")
    if fields.get("days", 0) < 0:
        raise _bad_time("days value must not be negative")


def _bad_time(reason: str) -> ValueError:
    return ValueError(f"invalid time specification: {reason}")


def read_env(text: str) -> dict[str, str]:
    r"""Read ``--env``: ``K=V`` pairs split at each colon that another ``word=`` follows.

    So ``A=http://x:80/y`` and ``A=1:B`` are single values. ``\:`` and ``\=`` stand for the plain characters.
    Of two values of one variable the later wins.
    """
    hidden = text.replace("\\:", _COLON).replace("\\=", _EQUALS)
    pairs = [item.split("=", 1) for item in _NEXT_VARIABLE.split(hidden)]
    for pair in pairs:
        if len(pair) != 2:
            shown = [_plain(part) for part in pair]
            raise ValueError(f"Improperly formatted argument to env : {shown!r}")
    return {_plain(name): _plain(value) for name, value in pairs}


def _plain(text: str) -> str:
    return text.replace(_COLON, ":").replace(_EQUALS, "=")


def read_attrs(text: str) -> dict[str, str]:
    """Read ``--attrs``: ``k=v``, a bare ``k`` for "true", ``no_k`` for k "false", joined by colons."""
    attrs: dict[str, str] = {}
    for item in text.split(":"):
        parts = item.split("=")
        if len(parts) > 2:
            raise ValueError(f"Improperly formatted argument to attrs : {item}")
        if len(parts) == 2:
            attrs[parts[0]] = parts[1]
        elif item.startswith("no_"):
            attrs[item[3:]] = "false"
        else:
            attrs[item] = "true"
    return attrs


def read_geometry(text: str) -> tuple[int, ...]:
    """Read ``--geometry``: AxBxCxD or AxBxCxDxE with E 1 or 2, 2 if left out. Always five integers."""
    match = _GEOMETRY.fullmatch(text)
    if match is None:
        raise ValueError("Invalid geometry entered: ")
    return tuple(int(part) for part in match.groups(default="2"))


def read_umask(text: str) -> int:
    """Read ``-u``: an octal number."""
    if _OCTAL.fullmatch(text) is None:
        raise ValueError(f"Invalid umask value {text}")
    return int(text, 8)


def read_mode(text: str, earlier: str | None, *, blue_gene_q: bool) -> str:
    """Read ``--mode``, given the mode set before it, if any. ("Specifed" is Cobalt's spelling.)"""
    if earlier is not None:
        if earlier != text:
            raise ValueError(f"Mode already set to '{earlier}' and trying to set it again to '{text}'")
        return earlier
    modes = _BLUE_GENE_Q_MODES if blue_gene_q else _OTHER_MODES
    if text not in modes:
        raise ValueError("\n".join([f"Specifed mode '{text}' not valid, valid modes are", *modes]))
    return text
