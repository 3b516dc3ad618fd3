"""Search a network and data of your own. The study file beside this script does the same from the command line."""

import torch
from torch import nn

import leadline as ll


class Residual(nn.Module):
    """A layer that learns what to add to its input."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def build(in_shape: tuple[int, ...], classes: int, depth: int = 2, width: int = 32, dropout: float = 0.0) -> nn.Module:
    """Returns the network of a trial; `depth`, `width` and `dropout` may be searched."""
    blocks = [Residual(width, dropout) for _ in range(depth)]
    return nn.Sequential(nn.Linear(*in_shape, width), *blocks, nn.Linear(width, classes))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns inputs (n, features) and labels (n,): which side of a wavy surface a point is on."""
    inputs = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs[:, 0] + torch.sin(3 * inputs[:, 1]) * inputs[:, 2] > 0).long()


if __name__ == "__main__":  # the study file imports this module; a plain script needs no guard
    space = ll.Space(
        depth=ll.Int(1, 4),
        width=ll.Int(16, 128, log=True),
        dropout=ll.Float(0.0, 0.5),
        lr=ll.Float(1e-4, 1e-1, log=True),
    )
    study = ll.Study("own-module", space, ll.Trainer(build, data=data, epochs=20, patience=5), pruner="median")
    study.run(trials=20)
    print(study.best.params, study.best.value)
