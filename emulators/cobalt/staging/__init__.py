"""Replays of workload traces with data: who waits for whom when inputs and outputs have to be moved.

Each job of a trace is given a data set to bring in and one to take out (``sizes``), and a ``trip`` is written down for
it. ``course`` is the clock; it drives the machine of ``replay`` and one way of staging:

- ``by_hand``: the user moves the inputs, then submits; and later moves the outputs
- ``inside``: the job moves both, on its nodes
- ``planner``: qstage, by the rules of ``chalicelib.core`` that it plans by when it is deployed
- ``ahead``: the same just in time, with the job held in the scheduler's queue from the beginning

``comparing`` takes the same jobs through each, ``ledger`` counts what comes of it, ``report`` and ``plot`` put it down,
``command`` is what is typed. ``bench.replaying`` takes the same jobs through the service's own handlers, and they
must agree with ``planner`` job for job.
"""
