"""A trial's random streams, from (study seed, trial number, fold) alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PURPOSES = ("weights", "order", "noise", "dropout", "flip", "shift", "cutout", "mixup")


@dataclass(frozen=True)
class Stream:
    """The source of all randomness of one lane: never its place, its neighbours, the worker or the clock.

    >>> from leadline.trainers.streams import Stream
    >>> Stream(seed=0, number=7).key("order", epoch=3) == Stream(seed=0, number=7).key("order", epoch=3)
    True
    """

    seed: int
    number: int
    fold: int = 0

    def key(self, purpose: str, epoch: int = 0) -> int:
        """Returns a seed in [0, 2**63) for `purpose`, one of `PURPOSES`, at `epoch`.

        Source: O'Neill's seed sequence, as numpy.random.SeedSequence implements it.
        """
        entropy = (self.seed, self.number, self.fold, PURPOSES.index(purpose), epoch)
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
