"""The environment a study runs in: versions and hardware."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from importlib.metadata import distributions
from typing import Any


def environment() -> dict[str, Any]:
    """Returns versions and hardware as JSON: Python, leadline, all installed packages, processor, memory, GPUs."""
    return {
        "python": platform.python_version(),
        "leadline": version(),
        "packages": dict(sorted((found.name.lower(), found.version) for found in distributions())),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.node(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpus": _gpus(),
    }


def version() -> str:
    """Returns leadline's version, installed or not."""
    return str(import_module(__name__.partition(".")[0]).__version__)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:  # another system than Linux
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
