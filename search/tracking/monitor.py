"""The monitor: samples what each worker takes of the machine, in a thread beside the tracker's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .names import SYSTEM

if TYPE_CHECKING:
    import psutil
    from mlflow.entities import Metric

    from ...trainers.messages import Ready

MEGABYTE = 1e6
Sample = tuple[str, float, float]  # name, value, time in seconds


class Monitor:
    """Samples, every `interval` seconds, the processes of `workers`, their GPUs, and the machine as a whole.

    Names are `system/worker0/cpu_percent` (100 is one core), `.../memory_megabytes`, and with CUDA `.../gpu_percent`,
    `.../gpu_memory_megabytes` (of the device; needs nvidia-ml-py); and `system/cpu_percent` (100 is all cores),
    `system/memory_percent` of the machine, `system/driver/...` of this process. Steps are seconds since the study's
    run began.
    """

    def __init__(self, workers: Mapping[int, Ready], interval: float) -> None:
        self._workers, self._interval = workers, interval
        self._processes: dict[int, psutil.Process] = {}
        self._samples: list[Sample] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leadline-monitor", daemon=True)

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Ends sampling; what was sampled stays."""
        self._stopped.set()
        self._thread.join()

    def metrics(self, began: int) -> list[Metric]:
        """Returns the samples as metrics of a run that began then, in milliseconds."""
        from mlflow.entities import Metric

        with self._lock:
            samples = list(self._samples)
        return [
            Metric(f"{SYSTEM}{name}", value, round(at * 1000), max(0, int(at - began / 1000)))
            for name, value, at in samples
        ]

    def forget(self, count: int) -> None:
        """Drops the first so many samples: MLflow has them."""
        with self._lock:
            del self._samples[:count]

    def _work(self) -> None:
        self._look()  # the first percentages are of no time at all
        while not self._stopped.wait(self._interval):
            found = [(name, value, time.time()) for name, value in self._look().items()]
            with self._lock:
                self._samples += found

    def _look(self) -> dict[str, float]:
        """Returns what is taken now, by name. A percentage is that since the last look."""
        import psutil

        found = {"cpu_percent": psutil.cpu_percent(), "memory_percent": psutil.virtual_memory().percent}
        seen = {"driver": os.getpid()} | {
            f"worker{index}": ready.process for index, ready in sorted(self._workers.items()) if ready.process
        }
        for name, number in seen.items():
            with suppress(psutil.NoSuchProcess):  # it has just ended
                process = self._processes.get(number)
                if process is None:
                    process = self._processes[number] = psutil.Process(number)
                    process.cpu_percent()
                else:
                    found[f"{name}/cpu_percent"] = process.cpu_percent()
                found[f"{name}/memory_megabytes"] = process.memory_info().rss / MEGABYTE
        for index, ready in sorted(self._workers.items()):
            if ready.device.startswith("cuda"):
                found |= {f"worker{index}/{name}": value for name, value in _gpu(ready.device).items()}
        return found


def _gpu(device: str) -> dict[str, float]:
    """Returns how busy a CUDA device is, and the memory in use there; nothing where nvidia-ml-py isn't installed."""
    try:
        import pynvml
    except ImportError:
        return {}
    index = int(device.partition(":")[2] or 0)
    visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    found: dict[str, float] = {}
    try:
        pynvml.nvmlInit()
        named: Any = visible[index] if index < len(visible) else str(index)
        by_number = named.isdigit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(named)) if by_number else pynvml.nvmlDeviceGetHandleByUUID(named)
        found["gpu_percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        found["gpu_memory_megabytes"] = pynvml.nvmlDeviceGetMemoryInfo(handle).used / MEGABYTE
    except pynvml.NVMLError:  # what a device can't tell isn't logged
        pass
    return found
