"""A training step captured once and replayed: on a GPU the launch of its kernels costs more than small kernels do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .rows import Rows

Now = Mapping[str, Tensor]  # what differs from step to step, by name; shapes never change
Outcome = tuple[Tensor, Tensor]  # losses (K,), outputs (K, B, ...)
Step = Callable[[Now], Outcome]
WARM_UP = 3  # steps before the capture: torch's libraries choose their kernels and allocate in the first ones


class ReplayedStep:
    """`step`, run by replaying what it did once. It changes `rows` in place, and reads the rest from what it is given.

    What it is given is copied to where the first call found it. `capture(function)` calls the function, and returns its
    outcome with what replays it; by default as a CUDA graph.
    """

    def __init__(
        self,
        step: Step,
        now: Now,
        rows: Rows,
        capture: Callable[[Callable[[], Outcome]], tuple[Outcome, Callable[[], None]]] | None = None,
    ) -> None:
        self._now = {name: tensor.clone() for name, tensor in now.items()}
        self.names = set(self._now)
        before = rows.snapshot()  # warming up trains, and so does the capture where it isn't a recording only
        self._outcome, self._replay = (capture or cuda_graph)(lambda: step(self._now))
        rows.restore(before)

    def __call__(self, now: Now) -> Outcome:
        """Makes a step; the outcome is the caller's."""
        for name, tensor in now.items():
            self._now[name].copy_(tensor)
        self._replay()
        losses, outputs = self._outcome
        return losses.clone(), outputs.clone()


def cuda_graph(function: Callable[[], Outcome]) -> tuple[Outcome, Callable[[], None]]:
    """Captures what `function` does on the current CUDA device; returns its outcome, and what does it again.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            function()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outcome = function()
    return outcome, graph.replay
