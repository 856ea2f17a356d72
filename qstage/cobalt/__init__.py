"""Cobalt's command line, layouts and words, as pure functions: nothing here reads a clock, a file or a
socket.

Two programs are built on it: the Cobalt simulator's own commands, and ``qstage qsub`` and its
siblings, which must feel the same under the fingers.

- ``qsub.parse_qsub``: a qsub command line, with its script's directives, to a ``Qsub``
- ``qstat.parse_qstat`` and ``qstat.render``: which jobs and columns, and the text
- ``jobids``: qdel, qhold and qrls
- ``qalter``: qalter; ``choosing``: qmove and qselect
- ``states``: the words of a job's state
- ``errors.UsageError``: how each of them ends early, with exit status, stdout and stderr

Wordings, spellings and oddities are Cobalt 1.0.33's on purpose.
"""
