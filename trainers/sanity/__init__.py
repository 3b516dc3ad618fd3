"""Sanity before spending: what can be told of data, networks and learning rates in seconds, without a trial.

Each check is a file, and returns a frozen `Finding`: a verdict, a sentence, and the numbers behind it.
"""

from .activations import Activations, activations
from .cost import Cost, cost
from .duplicates import Duplicates, duplicates
from .examples import Inputs, Targets, inputs, targets
from .finding import Finding, Verdict, worst
from .fits import Fits, fits
from .rates import Rates, rates

__all__ = [
    "Activations",
    "Cost",
    "Duplicates",
    "Finding",
    "Fits",
    "Inputs",
    "Rates",
    "Targets",
    "Verdict",
    "activations",
    "cost",
    "duplicates",
    "fits",
    "inputs",
    "rates",
    "targets",
    "worst",
]
