"""Repeats seeds from the command line: ``python -m tests.simulation 17`` tells one seed's story and its verdict.

``--only`` runs a seed with these faults instead of its own, to look closer at one thing. ``--to 2000`` runs all seeds
from the first up to that one (``--every`` so manieth), tells only those that fail, and ends with one line of JSON
about all of them.
"""

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import replace

from frontrow.runtime.collector import settle
from tests.simulation.invariants import Violation
from tests.simulation.plan import Fault, Plan
from tests.simulation.simulation import Record, Run
from tests.simulation.world import lexicon


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--to", type=int)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", type=Fault, action="append", metavar="FAULT", help=", ".join(Fault))
    parser.add_argument(
        "--crashes", type=int, default=4, help="with --only: how often the daemon goes down at most"
    )
    arguments = parser.parse_args()

    def plan_of(seed: int) -> Plan:
        plan = Plan.of(seed)
        return (
            replace(plan, faults=frozenset(arguments.only), crashes=arguments.crashes)
            if arguments.only
            else plan
        )

    if arguments.to is None:
        return _tell(plan_of(arguments.seed))
    return _many([plan_of(seed) for seed in range(arguments.seed, arguments.to, arguments.every)])


def _tell(plan: Plan) -> int:
    run = Run(plan)
    print(run.plan)
    failure = _failure_of(run)
    for what in run.record.trace:
        print(*what)
    print(f"digest {run.record.digest()}, {run.universe.steps} steps")
    print(failure or "every invariant holds")
    return int(failure is not None)


def _many(plans: list[Plan]) -> int:
    began = time.process_time()
    faults: Counter[str] = Counter()
    failed = steps = 0
    lexicon()
    settle()  # as the daemon does; else every full collection would walk the lexicon, a twentieth of all time
    for plan in plans:
        run = Run(plan)
        failure = _failure_of(run)
        _count(run.record, faults)
        steps += run.universe.steps
        if failure is not None:
            failed += 1
            print(
                f"seed {plan.seed} fails (repeat it with: make simulate SEED={plan.seed})\n{failure}",
                flush=True,
            )
    seconds = round(time.process_time() - began, 1)
    print(
        json.dumps(
            {"seeds": len(plans), "failed": failed, "steps": steps, "cpu_s": seconds, "faults": faults}
        )
    )
    return int(failed > 0)


def _failure_of(run: Run) -> str | None:
    try:
        run.execute()
    except Violation as violation:
        return str(violation)
    except Exception:  # noqa: BLE001  # a bug of the simulation is told with its seed, too
        return traceback.format_exc()
    return None


def _count(record: Record, faults: Counter[str]) -> None:
    faults.update(str(fault) for fault, _, _ in record.struck)


if __name__ == "__main__":
    sys.exit(main())
