"""Replays of workload traces in virtual time, under the policies of the live simulator.

- what comes in: ``swf`` and ``accounting`` read the two kinds of trace, ``trace`` tells them apart, ``shaping``
  changes a load as it is asked to
- what happens: ``machine`` is the nodes and the queue, ``run`` the clock
- what comes out: ``outcome_log`` writes Cobalt's Q, S and E records, ``figures`` counts, ``command`` prints
"""
