"""Where a good value is thought to be: a guess and a confidence, as a density on a parameter's own scale.

On the unit interval, onto which a number's range is mapped (logarithmically where `log`), the density of a guess g held
with confidence c is

    p(u) = (1 - c) + c N(u; g, WIDTH) / Z,    Z = the normal's mass inside [0, 1],

so that the share c of the draws is near the guess, and no value is ruled out. A lattice's value has the mass of its
cell. Among k options the guess has probability c + (1 - c) / k, each other one (1 - c) / k.

Source: the priors of NePS and PriorBand (Mallik et al. 2023), here mixed with the uniform.
"""

from __future__ import annotations

from statistics import NormalDist

WIDTH = 0.1  # deviation of the normal, as a part of the range: over three decades of learning rates a factor of two


def density(low: float, high: float, guess: float, confidence: float) -> float:
    """Returns the mean density over [low, high] within [0, 1], relative to the uniform one; at the point if equal."""
    normal = NormalDist(guess, WIDTH)
    inside = normal.cdf(1.0) - normal.cdf(0.0)
    near = normal.pdf(low) if low == high else (normal.cdf(high) - normal.cdf(low)) / (high - low)
    return (1 - confidence) + confidence * near / inside


def place(u: float, guess: float, confidence: float) -> float:
    """Returns the point of [0, 1] that the uniform number `u` in [0, 1) draws: near the guess where u < confidence."""
    if u >= confidence:
        return (u - confidence) / (1 - confidence)
    normal = NormalDist(guess, WIDTH)
    low, high = normal.cdf(0.0), normal.cdf(1.0)
    drawn = min(max(low + u / confidence * (high - low), 1e-12), 1 - 1e-12)  # what `inv_cdf` takes
    return min(max(normal.inv_cdf(drawn), 0.0), 1.0)
