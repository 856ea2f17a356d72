"""A Cobalt on one machine: Cobalt's commands, strict as its own, over real scripts on simulated nodes.

``simulator.CobaltSimulator`` is the object, ``python -m emulators.cobalt serve`` the program, and
``README.md`` says what it does, how it differs from a real Cobalt, and what it leaves out. The files by
their role:

- pure rules: ``jobs`` (data), ``life`` (states and events), ``altering`` (qalter), ``queues`` (who is
  let in), ``scores`` and ``policy`` (who runs), ``records`` (what is written down)
- the world: ``tasks`` and ``launcher`` (processes), ``store`` (disk), ``journal`` (logs)
- what joins them: ``manager``
- the outside: ``server`` and ``desk`` for the daemon, ``wire``, ``commands``, ``alterations``
  and ``filters`` for the commands, ``install``
- traces in virtual time, by the same ``scores`` and ``policy``: ``replay``, and ``staging``
  with data
"""
