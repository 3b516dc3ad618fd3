"""The 1,797 handwritten digits that come with scikit-learn: a real task without a download."""

from __future__ import annotations

import numpy as np

from .arrays import from_arrays
from .source import Data


def read_digits() -> Data:
    """Returns images (1797, 1, 8, 8) of handwritten digits, 0..16 as float32, of ten classes.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, https://doi.org/10.24432/C50P49
    (its test part).
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return from_arrays(images.reshape(-1, 1, 8, 8).astype(np.float32), labels, name="digits", task="classification")
