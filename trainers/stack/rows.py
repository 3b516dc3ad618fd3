"""Where the lanes of a fused stack keep what is theirs: each lane is a row of every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn

VECTOR = 32  # floats that torch's loops take at a time on a CPU: two of the widest registers


class Rows:
    """The weights, gradients, optimizer state and buffers of K networks built alike.

    All trained weights of a network lie side by side in its row of `weights` (K, P), so do their gradients in `grads`
    and each tensor of the optimizer's `state`: a step of the optimizer, the norm of the gradients, a refill, a
    checkpoint are operations on rows. Buffers and frozen weights are tensors of their own. `tensors` holds them all by
    their names in the network, (K, ...) each, the trained ones as views of `weights`.

    A network built alike but narrower fills the corner of its row's tensors, from index 0 in each dimension; the rest
    is zero. Where zeros stay zero (`networks.WIDTHS` says of which families that holds) it trains as if it were alone.
    """

    def __init__(self, network: nn.Module, state: Sequence[str]) -> None:
        parameters: dict[str, Tensor] = dict(network.named_parameters())
        trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
        others = {name: tensor for name, tensor in parameters.items() if name not in trained}
        others |= dict(network.named_buffers())
        self._shapes = {name: parameter.shape for name, parameter in trained.items()}
        self._sizes = [prod(shape) for shape in self._shapes.values()]
        names = {id(tensor): name for name, tensor in {**trained, **others}.items()}
        self._saved = {name: names[id(tensor)] for name, tensor in network.state_dict(keep_vars=True).items()}
        if len({parameter.dtype for parameter in trained.values()}) != 1:
            raise ValueError("a network needs trained weights, all of one dtype")
        # Whole vectors, so that on a CPU each number of a row is computed by the same instructions wherever the row is.
        width = -(-sum(self._sizes) // VECTOR) * VECTOR
        self.weights = next(iter(trained.values())).detach().new_zeros(0, width)
        self.state = {name: self.weights for name in state}
        self._others = {name: tensor.detach().new_zeros(0, *tensor.shape) for name, tensor in others.items()}
        self.penalized = self.weights.new_zeros(width)  # 1 where L1 applies: in weights of more than one dimension
        for piece, shape in zip(self._pieces(self.penalized), self._shapes.values(), strict=True):
            piece.fill_(len(shape) > 1)
        self._corners: list[dict[str, torch.Size]] = []  # of each row: the shapes of its own network's tensors
        self.arrange([])

    def __len__(self) -> int:
        return len(self.weights)

    def arrange(self, sources: Sequence[int | None]) -> None:
        """Makes as many rows as there are `sources`: each a copy of the row of that number, or zeros where None."""
        targets = [place for place, source in enumerate(sources) if source is not None]
        kept = [source for source in sources if source is not None]

        def moved(rows: Tensor) -> Tensor:
            fresh = rows.new_zeros(len(sources), *rows.shape[1:])
            fresh[targets] = rows[kept]
            return fresh

        weights, state = moved(self.weights), {name: moved(rows) for name, rows in self.state.items()}
        others, grads = {name: moved(rows) for name, rows in self._others.items()}, torch.zeros_like(weights)
        # All is there: from here on nothing runs out of memory.
        self.weights, self.grads, self.state, self._others = weights, grads, state, others
        self._corners = [{} if source is None else self._corners[source] for source in sources]
        self.trained = [view.requires_grad_() for view in self._views(self.weights)]
        self.gradients = self._views(self.grads)
        self.tensors = {**dict(zip(self._shapes, self.trained, strict=True)), **self._others}

    @torch.no_grad()
    def write(self, row: int, network: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Fills a row from a network, and from the optimizer's `state` of it, (P,) each; without one it is zero."""
        self._corners[row] = {}
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            whole = self.tensors[name][row]
            if tensor.shape != whole.shape:
                whole.zero_()
            self._corners[row][name] = tensor.shape
            whole[_corner(tensor.shape)].copy_(tensor)
        for name, rows in self.state.items():
            rows[row].copy_(state[name]) if name in state else rows[row].zero_()

    def snapshot(self) -> dict[str, Tensor]:
        """Returns a copy of all that training changes."""
        return {name: rows.detach().clone() for name, rows in self._changing().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Puts back what `snapshot` returned."""
        for name, rows in self._changing().items():
            rows.detach().copy_(snapshot[name])

    def _changing(self) -> dict[str, Tensor]:
        state = {f"state.{name}": rows for name, rows in self.state.items()}
        return {"weights": self.weights, **state, **{f"other.{name}": rows for name, rows in self._others.items()}}

    def take(self, gradients: Sequence[Tensor | None]) -> None:
        """Fills `grads` with the gradients of the trained weights, (K, ...) each; None are zero."""
        pairs = zip(gradients, self.gradients, strict=True)  # None: of a weight that the loss doesn't depend on
        torch._foreach_copy_(self.gradients, [torch.zeros_like(place) if g is None else g for g, place in pairs])

    def lend(self, row: int, network: nn.Module) -> None:
        """Makes the network's trained weights those of a row: what changes the one changes the other."""
        parameters = dict(network.named_parameters())
        for name, rows in zip(self._shapes, self.trained, strict=True):
            parameters[name].data = rows.detach()[row]

    def network(self, row: int) -> dict[str, Tensor]:
        """Returns a copy of a row's weights and buffers by the names of the network's `state_dict`."""
        corners = {name: _corner(shape) for name, shape in self._corners[row].items()}
        return {name: self.tensors[own][row].detach()[corners[own]].clone() for name, own in self._saved.items()}

    def _pieces(self, rows: Tensor) -> list[Tensor]:
        """Returns the parts of rows (..., P) that belong to each trained weight, as views (..., size)."""
        rest = rows.shape[-1] - sum(self._sizes)
        return list(torch.split(rows, [*self._sizes, rest], dim=-1))[:-1]

    def _views(self, rows: Tensor) -> list[Tensor]:
        return [piece.view(-1, *shape) for piece, shape in zip(self._pieces(rows), self._shapes.values(), strict=True)]


def _corner(shape: torch.Size) -> tuple[slice, ...]:
    return tuple(slice(size) for size in shape)
