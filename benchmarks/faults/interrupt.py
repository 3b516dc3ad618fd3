"""SIGINT and SIGTERM at random moments: does a study end in time, say so in its exit code, and go on as if nothing was?

    python benchmarks/faults/interrupt.py --each 50

Signals go to the driver's process group, as Ctrl-C does. After each the same study is run again; when it is finished it
is compared with an undisturbed one, as in `kill.py`. Prints one JSON object; exits 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from disturbed import FILE, Disturbed

LONGEST = 10.0  # seconds that a study may take to end
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="signals of each kind")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    draws, text = random.Random(args.seed), FILE % (args.epochs, args.trials)
    signals = [number for number in CODES for _ in range(args.each)]
    draws.shuffle(signals)
    found = dict.fromkeys(("wrong exit code", "too late", "tracebacks", "orphans", "unlike the undisturbed"), 0)
    sent, waits = dict.fromkeys(("SIGINT", "SIGTERM"), 0), []
    with tempfile.TemporaryDirectory() as name:
        calm = Disturbed(Path(name) / "calm", text)
        began = time.monotonic()
        assert calm.finish() == 0, calm.output
        wanted, seconds = calm.facts(), time.monotonic() - began
        for place in count():
            if not signals:
                break
            study = Disturbed(Path(name) / str(place), text)
            while True:
                study.start()
                ended = study.wait(draws.uniform(0.05, 0.6) * seconds if signals else 600)
                if ended is not None or not signals:
                    break
                number = signals.pop()
                os.killpg(study.driver, number)
                at = time.monotonic()
                code = study.wait(60)
                waits.append(time.monotonic() - at)
                sent[number.name] += 1
                found["wrong exit code"] += code != CODES[number] and code != 0  # 0: it had just ended
                found["too late"] += waits[-1] > LONGEST
                found["orphans"] += study.orphans()
                print(f"{number.name}: exit code {code} after {waits[-1]:.2f} s", file=sys.stderr, flush=True)
            assert ended == 0, study.output
            found["tracebacks"] += study.output.count("Traceback")
            found["unlike the undisturbed"] += study.facts() != wanted
    waits.sort()
    times = {"median_s": round(waits[len(waits) // 2], 2), "longest_s": round(waits[-1], 2)}
    print(json.dumps({"undisturbed_s": round(seconds, 1), **sent, **times, **found}))
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
