"""The layers that families are made of, besides PyTorch's own: branches that meet again, and what lies on them.

A network made of these, of `nn.Sequential` and of PyTorch's plain layers trains as lanes of one stack, whatever its
branches (`leadline.trainers.stack.kernels`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Branches(nn.Module):
    """Modules that all see the same input, by their names or else numbered. What they give is joined by a subclass."""

    def __init__(self, *branches: nn.Module, **named: nn.Module) -> None:
        super().__init__()
        for name, branch in {**{str(place): branch for place, branch in enumerate(branches)}, **named}.items():
            self.add_module(name, branch)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns what the branches make of inputs (B, ...), joined."""
        return self.join([branch(inputs) for branch in self.children()], channels=1)

    def join(self, outputs: list[Tensor], channels: int) -> Tensor:
        """Joins the branches' outputs, whose dimension of channels is `channels`."""
        raise NotImplementedError


class Sum(Branches):
    """Adds up what its branches give: a residual block (He et al., 2016) is `Sum(shortcut, body)`.

    >>> Sum(nn.Identity(), nn.ReLU())(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  4.]])
    """

    def join(self, outputs: list[Tensor], channels: int) -> Tensor:
        total = outputs[0]
        for output in outputs[1:]:
            total = total + output
        return total


class Concatenation(Branches):
    """Puts the channels of its branches one after another: an inception module (Szegedy et al., 2015).

    >>> Concatenation(nn.Identity(), nn.ReLU())(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  2.,  0.,  2.]])
    """

    def join(self, outputs: list[Tensor], channels: int) -> Tensor:
        return torch.cat(outputs, dim=channels)


class Auxiliary(nn.Module):
    """`rest` with an auxiliary classifier `head` beside it (Szegedy et al., 2015), for training only.

    In training it returns a tuple: what `rest` gives, then what the heads within it give, then this one's. Its place is
    at a network's end, and another Auxiliary may stand at the end of `rest`. The trainer adds the losses of heads,
    weighted by the recipe's `auxiliary`.
    """

    def __init__(self, rest: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.rest, self.head = rest, head

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns outputs (B, classes) of inputs (B, ...): in training a tuple of them."""
        outputs: Tensor | tuple[Tensor, ...] = self.rest(inputs)
        return (*told_apart(outputs), self.head(inputs)) if self.training else outputs


def told_apart(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Returns the network's own outputs, and then those of its auxiliary heads."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


class Maxout(nn.Module):
    """The greatest of each `pieces` neighbouring channels (Goodfellow et al., 2013).

    >>> Maxout(2)(torch.tensor([[1.0, 3.0, -2.0, -4.0]]))
    tensor([[ 3., -2.]])
    """

    def __init__(self, pieces: int = 2) -> None:
        super().__init__()
        self.pieces = pieces

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (B, C, ...) for inputs (B, C * pieces, ...)."""
        return torch.unflatten(inputs, 1, (-1, self.pieces)).amax(dim=2)


class Subsample(nn.Module):
    """The shortcut without weights (option A of He et al., 2016): every `stride`-th pixel, new maps being zero."""

    def __init__(self, stride: int, extra: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, extra

    def extra_repr(self) -> str:
        return f"stride={self.stride}, extra={self.extra}"

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (B, C + extra, H', W') for inputs (B, C, H, W)."""
        return F.pad(inputs[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


class StochasticDepth(nn.Dropout):
    """Drops all of a branch, for each example by itself, with probability `p` (Huang et al., 2016).

    What is kept is scaled by 1 / (1 - p), so that evaluation needs no scaling. It stands last in a branch of a Sum.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns inputs (B, ...), in training some examples being zero."""
        if not self.training:
            return inputs
        return inputs * F.dropout(inputs.new_ones(len(inputs), *(1 for _ in inputs.shape[1:])), self.p)
