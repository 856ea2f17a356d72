"""Every crash point of the loop, listed and run: ``make crashes [LIST=1]``.

For each scenario of ``test_loop_crashes``, fair weather and rough, the process ends before each call that leaves
something behind, and the answer of each call is lost. The last line is JSON: how many points there are, how many
ended as they should.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter

from test_loop_crashes import FAIR, ROUGH, SCENARIOS, Point, points


def every() -> list[Point]:
    return [
        point
        for weather in (FAIR, ROUGH)
        for name in SCENARIOS
        for lost_answer in (False, True)
        for point in points(name, lost_answer=lost_answer, weather=weather)
    ]


def passes(point: Point) -> bool:
    try:
        point.prove()
    except AssertionError as broken:
        print(f"BROKEN {point}: {broken}")
        return False
    return True


def main(arguments: list[str]) -> int:
    logging.disable()
    found = every()
    if "--list" in arguments:
        print("\n".join(str(point) for point in found))
        return 0
    for scenario, count in Counter(point.scenario for point in found).items():
        print(f"{count:>5}  {scenario}")
    passed = sum(passes(point) for point in found)
    print(json.dumps({"crash_points": len(found), "crash_points_passed": passed}))
    return 0 if passed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
