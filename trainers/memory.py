"""How much memory a process has taken at most, and how much it may take."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PROCESSES = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
LIMITS = ("memory.max", "memory.limit_in_bytes")  # of a control group of version 2, and 1
KILLS = ("memory.events", "memory.oom_control")  # where each counts the processes that were killed for memory


def memory_told(device: torch.device | None = None) -> str:
    """Returns the most memory that was in use, and the limit, in words: this process's, or that of a CUDA device.

    >>> memory_told().startswith("peak ")
    True
    """
    if device is not None and device.type == "cuda":
        import torch

        _, total = torch.cuda.mem_get_info(device)
        return f"peak {bytes_told(torch.cuda.max_memory_allocated(device))}, limit {bytes_told(total)} of {device}"
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        peak = _status("VmPeak") or _resident()
        return f"peak {bytes_told(peak)}, limit {bytes_told(soft)} of address space"
    return f"peak {bytes_told(_resident())}, limit {bytes_told(memory_limit())}"


def memory_limit(process: int | str = "self") -> int:
    """Returns the bytes that a process may have in memory: its control group's limit, or all that the machine has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = [_number(group / name) for group in _groups(process) for name in LIMITS]
    return min([machine, *(limit for limit in found if limit is not None)])


class MemoryKills:
    """Tells whether the kernel has killed, since this was made, a process of a process's control group for memory."""

    def __init__(self, process: int | str = "self") -> None:
        files = (group / name for group in _groups(process) for name in KILLS)
        self._file = next((file for file in files if file.is_file()), None)
        self._before = self._count()

    @property
    def happened(self) -> bool:
        """Whether there was one; False where the system doesn't say."""
        return self._count() > self._before

    def _count(self) -> int:
        if self._file is None or not self._file.exists():
            return 0
        lines = (line.split() for line in self._file.read_text().splitlines())
        return next((int(count) for key, count in lines if key == "oom_kill"), 0)


def bytes_told(count: int) -> str:
    """Returns a size for people.

    >>> bytes_told(1_500_000), bytes_told(12)
    ('1.5 MB', '12 B')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _groups(process: int | str) -> list[Path]:
    """Returns the folders of a process's control group for memory, and of those above it."""
    file = PROCESSES / str(process) / "cgroup"
    if not file.exists():
        return []  # no Linux, or the process is gone
    found: list[Path] = []
    for line in file.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            own = CGROUPS / controllers / path.lstrip("/")
            found += [own, *(folder for folder in own.parents if folder.is_relative_to(CGROUPS / controllers))]
    return found


def _number(file: Path) -> int | None:
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdecimal() else None  # "max" is no limit


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(name: str) -> int | None:
    """Returns an entry of this process's /proc/self/status, in bytes; None where there is none."""
    file = PROCESSES / "self" / "status"
    lines = file.read_text().splitlines() if file.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)
