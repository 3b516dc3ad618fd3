"""Optimizers by name, over the rows of a stack, with one value per lane.

Each agrees with torch's of that name, which isn't used: torch.optim loads a compiler (1.4 s), and steps one network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from .recipe import Recipe

Numbers = NDArray[np.float64]


class LaneOptimizer(ABC):
    """One optimizer for K lanes whose weights, gradients and state are rows of (K, P) tensors.

    It agrees with torch's optimizer of that name lane by lane, each with its own learning rates, rates of decay and
    count of steps. `state` names the tensors it keeps a lane, each zero in the beginning.
    """

    state: tuple[str, ...] = ()

    @abstractmethod
    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        """Returns what a lane's update needs at each of S steps, by name: (S,) each, in float64.

        `rates` (S,) are the learning rates, `steps` (S,) the steps counted from 1.
        """

    @abstractmethod
    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        """Makes one step in place. `weights`, `grads` and `state` are (K, P), the factors `at` this step (K, 1)."""

    def table(self, lanes: Sequence[tuple[Recipe, Numbers, Numbers]], like: Tensor) -> dict[str, Tensor]:
        """Returns the factors of K lanes, each given as (recipe, rates, steps), by name: (S, K, 1), typed as `like`."""
        each = [self.factors(*lane) for lane in lanes]
        columns = {name: np.stack([one[name] for one in each], axis=1)[:, :, None] for name in each[0]}
        return {name: torch.from_numpy(column).to(like) for name, column in columns.items()}


class LaneSGD(LaneOptimizer):
    """Stochastic gradient descent with momentum (Sutskever et al., 2013) and L2."""

    state = ("momentum_buffer",)

    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        return {"lr": rates, "decay": _all(recipe.weight_decay, rates), "momentum": _all(recipe.momentum, rates)}

    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        grads.addcmul_(weights, at["decay"])
        state["momentum_buffer"].mul_(at["momentum"]).add_(grads)
        weights.addcmul_(state["momentum_buffer"], at["lr"], value=-1)


class LaneAdagrad(LaneOptimizer):
    """Adagrad (Duchi et al., 2011)."""

    state = ("sum",)

    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        return {"lr": -rates, "decay": _all(recipe.weight_decay, rates)}

    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        grads.addcmul_(weights, at["decay"])
        state["sum"].addcmul_(grads, grads)
        weights.addcdiv_(grads.mul_(at["lr"]), state["sum"].sqrt().add_(1e-10))


class LaneRMSprop(LaneOptimizer):
    """RMSprop (Tieleman & Hinton, 2012) with a memory of 0.99."""

    state = ("square_avg",)

    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        return {"lr": -rates, "decay": _all(recipe.weight_decay, rates)}

    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        grads.addcmul_(weights, at["decay"])
        state["square_avg"].mul_(0.99).addcmul_(grads, grads, value=0.01)
        weights.addcdiv_(grads.mul_(at["lr"]), state["square_avg"].sqrt().add_(1e-8))


class LaneAdam(LaneOptimizer):
    """Adam (Kingma & Ba, 2015), or AdamW with `decoupled` weight decay (Loshchilov & Hutter, 2019)."""

    state = ("exp_avg", "exp_avg_sq")

    def __init__(self, *, decoupled: bool) -> None:
        self.decoupled = decoupled

    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        return {
            "decay": 1 - rates * recipe.weight_decay if self.decoupled else _all(recipe.weight_decay, rates),
            "lr": -rates / (1 - recipe.beta1**steps),
            "old1": _all(recipe.beta1, rates),
            "new1": _all(1 - recipe.beta1, rates),
            "old2": _all(recipe.beta2, rates),
            "new2": _all(1 - recipe.beta2, rates),
            "debias": 1 / np.sqrt(1 - recipe.beta2**steps),
        }

    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        if self.decoupled:
            weights.mul_(at["decay"])
        else:
            grads.addcmul_(weights, at["decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.mul_(at["old1"]).addcmul_(grads, at["new1"])
        square.mul_(at["old2"]).addcmul_(grads * grads, at["new2"])
        weights.addcdiv_(mean * at["lr"], square.sqrt().mul_(at["debias"]).add_(1e-8))


class LaneAdamOnCPU(LaneAdam):
    """The same by torch's fused kernel, a lane after the other: on a CPU less than half the passes over memory."""

    def factors(self, recipe: Recipe, rates: Numbers, steps: Numbers) -> dict[str, Numbers]:
        own = {"weight_decay": recipe.weight_decay, "beta1": recipe.beta1, "beta2": recipe.beta2}
        return {"lr": rates, **{name: _all(value, rates) for name, value in own.items()}, "step": steps}

    def table(self, lanes: Sequence[tuple[Recipe, Numbers, Numbers]], like: Tensor) -> dict[str, Tensor]:
        return super().table(lanes, like.new_empty((), dtype=torch.float64))  # 1 - beta2 has no digits to lose

    def update(self, weights: Tensor, grads: Tensor, state: Mapping[str, Tensor], at: Mapping[str, Tensor]) -> None:
        step = torch._fused_adamw_ if self.decoupled else torch._fused_adam_  # what torch.optim calls with fused=True
        columns = [at[name].flatten().tolist() for name in ("lr", "beta1", "beta2", "weight_decay")]
        rows = (weights, grads, state["exp_avg"], state["exp_avg_sq"], at["step"].to(weights.dtype).flatten())
        lanes = zip(*(part.unbind(0) for part in rows), *columns, strict=True)
        for weight, grad, mean, square, count, lr, beta1, beta2, decay in lanes:
            step(
                [weight],
                [grad],
                [mean],
                [square],
                [],
                [count],
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                weight_decay=decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )


OPTIMIZERS: dict[str, Callable[[torch.device], LaneOptimizer]] = {
    "sgd": lambda device: LaneSGD(),
    "adagrad": lambda device: LaneAdagrad(),
    "rmsprop": lambda device: LaneRMSprop(),
    "adam": lambda device: _adam(device, decoupled=False),
    "adamw": lambda device: _adam(device, decoupled=True),
}


def _adam(device: torch.device, *, decoupled: bool) -> LaneAdam:
    return (LaneAdamOnCPU if device.type == "cpu" else LaneAdam)(decoupled=decoupled)


def _all(value: float, like: Numbers) -> Numbers:
    return np.full_like(like, value)
