"""The command `leadline`, also as `python -m leadline`: it ends in order however early it is interrupted."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Runs the command line; until that is loaded nothing is held, and a signal ends the program at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, frame: os._exit(128 + received))
    from .cli import main

    main()


if __name__ == "__main__":
    main()
