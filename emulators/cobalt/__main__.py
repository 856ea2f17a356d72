"""``python -m emulators.cobalt serve``: a Cobalt on this machine until it is interrupted; ``replay`` and
``staging``: a trace in virtual time, without data and with."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from emulators.clock import Clock, FileClock, SystemClock
from emulators.cobalt.policy import Backfill, Drain
from emulators.cobalt.queues import Queue, parse_queue
from emulators.cobalt.replay import command as replay
from emulators.cobalt.scores import Policy
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator
from emulators.cobalt.staging import command as staging

_SCRIPTS = {
    "job-prescript": "before each job, on its nodes; a status other than 0 ends the job",
    "resource-prescript": "after those, before its task; a status other than 0 ends the job",
    "resource-postscript": "after its task, while it has its nodes",
    "job-postscript": "last, when it has no nodes any more",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulators.cobalt")
    verbs = parser.add_subparsers(dest="verb", required=True)
    replay.add_options(verbs.add_parser("replay", help="replay a workload trace in virtual time"))
    staging.add_options(verbs.add_parser("staging", help="compare ways of staging on a trace, in virtual time"))
    serve = verbs.add_parser("serve", help="run jobs on simulated nodes until interrupted")
    serve.add_argument("--state", type=Path, required=True, help="directory that keeps jobs over a restart")
    serve.add_argument("--nodes", type=int, required=True, help="how many nodes the machine has")
    serve.add_argument("--bin", type=Path, help="where the commands go (STATE/bin)")
    serve.add_argument("--clock", type=Path, help="file that holds the seconds to add to the machine's time")
    serve.add_argument("--first-job-id", type=int, default=1, help="the first job's id on a new state")
    serve.add_argument("--interval", type=float, default=0.2, help="seconds between passes when nothing happens")
    serve.add_argument(
        "--queue",
        action="append",
        type=parse_queue,
        metavar="NAME[,KEY=VALUE…]",
        help="a queue and its limits; repeatable; one named default is there unless given",
    )
    serve.add_argument("--min-walltime", type=int, default=5, help="shortest walltime in minutes, 0 for none")
    serve.add_argument("--kill-delay", type=float, default=300.0, help="seconds between SIGTERM and SIGKILL")
    serve.add_argument("--qdel-pause", type=float, default=0.0, help="seconds that qdel sleeps; Cobalt's does 1")
    serve.add_argument("--prologue", type=float, default=0.0, help="seconds a job takes in each prologue")
    serve.add_argument("--epilogue", type=float, default=0.0, help="seconds a job takes in each epilogue")
    serve.add_argument(
        "--filter", action="append", metavar="PROGRAM", help="sees and may change each job at qsub; repeatable"
    )
    for name, when in _SCRIPTS.items():
        serve.add_argument(f"--{name}", action="append", metavar="PROGRAM", help=f"runs {when}; repeatable")
    serve.add_argument("--drain", type=Drain, choices=list(Drain), default=Drain.BACKFILL)
    serve.add_argument("--backfill", type=Backfill, choices=list(Backfill), default=Backfill.FIRST)
    serve.add_argument(
        "--policy", type=Policy, choices=list(Policy), default=Policy.DEFAULT, help="scores the jobs of other queues"
    )
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    queues: list[Queue] = options.queue or []
    if all(queue.name != "default" for queue in queues):
        queues = [Queue(name="default"), *queues]
    return Settings(
        nodes=options.nodes,
        first_job_id=options.first_job_id,
        interval=options.interval,
        min_walltime=options.min_walltime,
        kill_delay=options.kill_delay,
        qdel_pause=options.qdel_pause,
        prologue=options.prologue,
        epilogue=options.epilogue,
        drain=options.drain,
        backfill=options.backfill,
        policy=options.policy,
        queues=tuple(queues),
        filters=tuple(options.filter or ()),
        job_prescripts=tuple(options.job_prescript or ()),
        resource_prescripts=tuple(options.resource_prescript or ()),
        resource_postscripts=tuple(options.resource_postscript or ()),
        job_postscripts=tuple(options.job_postscript or ()),
    )


def main() -> None:
    options = _parser().parse_args()
    if options.verb == "replay":
        replay.run(options)
        return
    if options.verb == "staging":
        staging.run(options)
        return
    _serve(options)


def _serve(options: argparse.Namespace) -> None:
    clock: Clock = FileClock(options.clock) if options.clock else SystemClock()
    simulator = CobaltSimulator(options.state, clock=clock, settings=_settings(options), bin=options.bin)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with simulator:
        print(f"export COBALT_SIM={shlex.quote(str(simulator.state.resolve()))}")
        print(f'export PATH={shlex.quote(str(simulator.bin.resolve()))}:"$PATH"')
        print(f"bin {simulator.bin.resolve()}")
        print("ready", flush=True)
        while not stop.wait(0.5):
            if simulator.broken.is_set():
                sys.exit("the simulator is broken; what broke it is above")


if __name__ == "__main__":
    main()
