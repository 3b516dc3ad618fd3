"""SIGKILL of a study's processes, at random moments and at each named step of its writing: what is lost or changed?

    python benchmarks/faults/kill.py --kills 200 --steps 3

Runs a study of 50 trials on the digits undisturbed. Then the same study is killed at random moments of its life and run
again until it is finished, as often as it takes to have killed it so many times; and so many times at each step of
`hooks.STEPS`. Each such study is compared with the undisturbed one: numbers, states, parameters, values, curves and
the hashes of the weights that are kept, bit for bit. What the study told of an ended trial, in a log of its own, is
compared with what is in its storage in the end. Prints one JSON object; exits 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import deque
from itertools import count
from pathlib import Path
from typing import Any

from disturbed import FILE, Disturbed, unclocked
from hooks import STEPS

from leadline.search.trial import ENDED

SETTLED = 5.0  # seconds after a restart, in which what was left running must be taken up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="at random moments")
    parser.add_argument("--steps", type=int, default=1, help="kills at each named step")
    parser.add_argument("--only", choices=STEPS, nargs="*", default=[*STEPS], metavar="STEP", help="of the steps")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    draws, text = random.Random(args.seed), FILE % (args.epochs, args.trials)
    with tempfile.TemporaryDirectory() as name:
        calm = Disturbed(Path(name) / "calm", text)
        began = time.monotonic()
        assert calm.finish() == 0, calm.output
        wanted, seconds = calm.facts(), time.monotonic() - began
        totals = {"kills": 0, "kills with a trial running": 0, "studies": 0, **dict.fromkeys(COUNTS, 0)}
        moments = deque((draws.uniform(0.05, 0.35) * seconds, {}) for _ in range(args.kills))
        survive(Path(name) / "moments", text, moments, wanted, totals)
        steps = deque(at_step(step, draws) for step in args.only for _ in range(args.steps))
        draws.shuffle(steps)
        survive(Path(name) / "steps", text, steps, wanted, totals)
    print(
        json.dumps({"undisturbed_s": round(seconds, 1), "at random": args.kills, "at each step": args.steps, **totals})
    )
    sys.exit(any(totals[name] for name in COUNTS if name != "most epochs redone") or totals["most epochs redone"] > 1)


Fault = tuple[float, dict[str, str]]  # seconds until it is killed, and the environment that may do it sooner
COUNTS = (
    "acknowledged lost or changed",
    "left running",
    "orphans",
    "unlike the undisturbed",
    "most epochs redone",
)


def at_step(step: str, draws: random.Random) -> Fault:
    """Returns what has the study killed at that step, one of its first times."""
    few = 3 if step.startswith("weights") else 12
    return 600.0, {"FAULT_STEP": step, "FAULT_AT": str(draws.randint(1, few))}


def survive(
    folder: Path, text: str, faults: deque[Fault], wanted: list[dict[str, Any]], totals: dict[str, int]
) -> None:
    """Has all faults befall studies, finishing each that isn't killed in its time; adds what became of them."""
    for place in count():
        if not faults:
            return
        study = Disturbed(folder / str(place), text)
        found, done = dict.fromkeys(COUNTS, 0), 0
        while faults:
            seconds, environment = faults[0]
            study.start(environment)
            began = time.monotonic()
            code = study.wait(seconds)
            if code == 0:  # it didn't come to that: the next study will
                environment |= {"FAULT_AT": "2"} if environment else {}
                break
            if code is None:
                study.kill()
            else:
                assert code == -signal.SIGKILL, study.output
            faults.popleft()
            done += 1
            found["orphans"] += study.orphans()
            totals["most epochs redone"] = max(totals["most epochs redone"], study.redone())
            at_work = sum(trial.state == "running" for trial in study.trials)
            totals["kills with a trial running"] += at_work > 0
            if time.monotonic() - began > SETTLED:  # all but the one of the one lane were running before
                found["left running"] += max(0, at_work - 1)
        else:
            assert study.finish() == 0, study.output
        ended = {trial.number: unclocked(trial.as_json()) for trial in study.trials}
        told = {number: unclocked(trial) for number, trial in study.acknowledged.items()}
        found["acknowledged lost or changed"] = sum(ended.get(number) != trial for number, trial in told.items())
        found["left running"] += sum(trial["state"] not in ENDED for trial in ended.values())
        found["unlike the undisturbed"] = int(study.facts() != wanted)
        print(f"{done} kills: {found}", file=sys.stderr, flush=True)
        for name, number in {"kills": done, "studies": 1, **found}.items():
            totals[name] += number


if __name__ == "__main__":
    main()
