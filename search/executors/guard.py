"""Runs a command, and ends with it all that it has started: what stands between a driver and its worker.

    python -I -S guard.py DESCRIPTOR COMMAND...

The command is a child of this process, and leads a process group. It gets the descriptor that stands before it, and its
number as a last argument. It is killed when standard input ends, be it that the driver closes its end or that it is
killed. However it ends, all that it has started is killed then, and its exit code, as `Popen.returncode` would have it,
is written to standard output.

On Linux nothing that the command starts gets away: this process is the "child subreaper" (prctl(2)), which orphans
below it get for a parent, whatever their group, session or environment. Elsewhere what leaves the command's group does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of <linux/prctl.h>
TICK = 0.005  # seconds between looks at what is left
PATIENCE = 0.5  # seconds that what is killed has to go: one in the midst of a system call may take as long as it likes


def main(descriptor: str, *command: str) -> None:
    """Runs the command, waits for its end, and tells its exit code."""
    _control(PR_SET_CHILD_SUBREAPER, 1)
    started = os.fork()
    if not started:
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.execv(command[0], [*command, descriptor])
    os.close(int(descriptor))  # or else the driver wouldn't notice when the command hangs up
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # some send them to every process
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_await_driver, args=(started,), daemon=True).start()
    ended = None
    while ended != started:  # but an orphan that came here
        ended, status = os.wait()
    deadline = time.monotonic() + PATIENCE
    while _kill(started) and time.monotonic() < deadline:
        time.sleep(TICK)
        with contextlib.suppress(ChildProcessError):  # there is none any more
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
    print(os.waitstatus_to_exitcode(status))


def _await_driver(started: int) -> None:
    os.read(0, 1)
    _kill(started)


def _kill(started: int) -> bool:
    """Kills the command and all else below this process; returns whether there was any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS denies it where all have ended
        os.killpg(started, signal.SIGKILL)
    killed = [_killed(process) for process in _descendants()]
    return any(killed)


def _killed(process: int) -> bool:
    """Kills a process; returns whether it was there and could be, which another user's can't."""
    try:
        os.kill(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _descendants() -> set[int]:
    """Returns all processes below this one; none where there is no /proc."""
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            parents[int(file.parent.name)] = int(file.read_bytes().rpartition(b")")[2].split()[1])
    found, below = set[int](), {os.getpid()}
    while below:
        below = {process for process, parent in parents.items() if parent in below}
        found |= below
    return found


def _control(option: int, value: int) -> None:
    """Calls prctl(2), where there is one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
