from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from leadline.search.strategies.skopt import SkoptSampler
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

ESTIMATORS = ["gp", "rf", "et"]
X = {"x": FloatDistribution(-5.0, 5.0)}
LOG_INT = {"n": IntDistribution(3, 700, log=True)}
MIXED = {
    "choice": CategoricalDistribution([None, True, 3, 0.5, "text"]),
    "even": IntDistribution(2, 12, step=2),
    "fixed": IntDistribution(7, 7),
    "lattice": FloatDistribution(-0.3, 0.6, step=0.3),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
}


class Conformance(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's suites for samplers, on a sampler whose model starts at the second trial."""

    estimator: str

    @pytest.fixture
    def sampler(self) -> Callable[[], optuna.samplers.BaseSampler]:
        return lambda: SkoptSampler(self.estimator, seed=0, n_startup_trials=1, candidates=100)


class TestGaussianProcessConforms(Conformance):
    estimator = "gp"


class TestRandomForestConforms(Conformance):
    estimator = "rf"


class TestExtraTreesConform(Conformance):
    estimator = "et"
