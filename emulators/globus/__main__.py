"""``python -m emulators.globus``: serve until interrupted. Prints what a shell needs, then ``ready``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from emulators.clock import FileClock, SystemClock
from emulators.globus.config_file import ConfigError, load_config
from emulators.globus.emulator import GlobusEmulator
from emulators.globus.pace import Pace


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.globus", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="where collections without a directory have theirs")
    parser.add_argument("--config", type=Path, help="YAML that describes identities, clients and collections")
    parser.add_argument("--time-scale", type=float, default=1.0, help="tasks go this many times as fast")
    parser.add_argument("--clock", type=Path, help="file with the seconds to add to the machine's time")
    parser.add_argument("--control", action="store_true", help="serve the control API under /_emulator")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    try:
        config = load_config(arguments.config) if arguments.config else None
    except (ConfigError, OSError) as error:
        sys.exit(f"{arguments.config}: {error}")
    emulator = GlobusEmulator(
        arguments.data,
        config,
        clock=FileClock(arguments.clock) if arguments.clock else SystemClock(),
        pace=Pace.by_clock(arguments.time_scale),
        control=arguments.control,
        port=arguments.port,
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with emulator:
        for name, value in emulator.environment().items():
            print(f"export {name}={value}")
        for name, collection_id in emulator.collections.items():
            print(f"collection {name} {collection_id}")
        for client in emulator.clients.values():
            print(f"client {client.name} {client.id} {client.secret}")
        print("ready", flush=True)
        over.wait()


if __name__ == "__main__":
    main()
