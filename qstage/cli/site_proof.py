"""What ``qstage site test`` sends: two small jobs that prove a site from end to end. Pure.

The first writes a word by the file system, and Globus carries it to each of the site's own collections, at a path of
their mappings. The second is given it by Globus from there, compares, looks for it at the mappings' directories, and
removes it by the file system. So each mapping is written by one way, and read and deleted by the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAME = "qstage-site-test"


_CHECK = """\
status=0
check() {{
    seen=; read -r seen <"in$1/word"
    [ "$seen" = {word} ] || {{ echo "what Globus brought from mapping $1 is not what was written"; status=3; }}
    seen=; read -r seen 2>/dev/null <"$2/word"
    [ "$seen" = {word} ] || {{ echo "$2 does not hold what Globus wrote to mapping $1"; status=3; return; }}
    rm -f "$2/word" && rmdir "$2" || status=3
}}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One test of one site. ``word`` is random, and names the directory that is made and removed."""

    site: str
    mappings: Sequence[Mapping[str, str]]
    word: str
    attributes: Mapping[str, Any]

    def writing(self) -> dict[str, Any]:
        """The job that writes."""
        script = f"#!/bin/bash\nset -e\nmkdir proof\nprintf %s {shlex.quote(self.word)} >proof/word\n"
        outputs = [{"source": "proof/", "target": self._place(one)} for one in self.mappings]
        return self._job("write", script, stage_out=outputs)

    def reading(self) -> dict[str, Any]:
        """The job that reads and deletes."""
        lines = ["#!/bin/bash", _CHECK.format(word=shlex.quote(self.word))]
        for index, one in enumerate(self.mappings):
            directory = shlex.quote(f"{one['directory'].rstrip('/')}/{self._folder}")
            lines.append(f"check {index} {directory}")
        inputs = [{"source": self._place(one), "target": f"in{index}/"} for index, one in enumerate(self.mappings)]
        return self._job("read", "\n".join([*lines, "exit $status", ""]), stage_in=inputs)

    @property
    def _folder(self) -> str:
        return f"{NAME}-{self.word}"

    def _place(self, mapping: Mapping[str, str]) -> str:
        path = mapping["path"].strip("/")
        return f"globus://{mapping['collection']}/{path}{'/' if path else ''}{self._folder}/"

    def _job(self, name: str, script: str, **staging: Any) -> dict[str, Any]:
        return {
            "name": f"{NAME}-{name}",
            "site": self.site,
            "executable": "test.sh",
            "files": [{"path": "test.sh", "content": script, "mode": "0755"}],
            "attributes": dict(self.attributes),
            "cleanup": True,
            **staging,
        }
