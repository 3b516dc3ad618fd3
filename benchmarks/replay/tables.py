"""Recorded tables of real training runs, as something to search: a space, a look-up, and the regret of what it says.

36 tables of five kinds, from a folder with `lookup.py`:

    taskset         12 recurrent nets x 1,000 configurations of Adam with eight hyperparameters; the loss is the last of
                    51 validation losses, NaN where the run diverged
    lcbench         17 data sets x 2,000 networks of seven hyperparameters; the loss is 1 - balanced validation
                    accuracy, as recorded at the end (networks were trained with class weights: accuracy itself would
                    praise those that always say the same). `blood-transfusion-service-center` has its 52 epochs, too
    fcnet           2 grids of 62,208 networks; mean squared error, the mean of 4 seeds
    hpobench_mlp    4 grids of 30,000 networks; 1 - accuracy, the mean of 5 seeds
    nasbench201     1 grid of 15,625 cells; percent wrong, the mean of 2 or 3 seeds

A `Pool` holds configurations drawn at random from a continuous space: what is proposed stands for its nearest
configuration that the run hasn't had yet. A `Grid` has them all, and what is proposed twice is a repeat.

The tables are divided by a rule that knows no results: listed by kind and in order of name, every second one is for
REPORT, the others to CHOOSE by: what is tuned on one half is judged on the other, 18 tables each. CORE is the first
four of each kind from REPORT, 12 tables, for methods too slow to run on all of them.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from leadline.search.strategies.encoding import to_unit
from leadline.spaces import Choice, Float, Int, Parameter, Space

NAMES = {
    "taskset": (
        "imdb_patch128_LSTM128_avg_bs64",
        "imdb_patch128_LSTM128_bs64",
        "imdb_patch128_LSTM128_embed128_bs64",
        "imdb_patch32_GRU128_bs128",
        "imdb_patch32_GRU64_avg_bs128",
        "imdb_patch32_IRNN64_relu_avg_bs128",
        "imdb_patch32_IRNN64_relu_last_bs128",
        "imdb_patch32_LSTM128_E128_bs128",
        "imdb_patch32_LSTM128_bs128",
        "imdb_patch32_VRNN128_tanh_bs128",
        "imdb_patch32_VRNN64_relu_avg_bs128",
        "imdb_patch32_VRNN64_tanh_avg_bs128",
    ),
    "lcbench": (
        "Amazon_employee_access",
        "Australian",
        "Fashion-MNIST",
        "MiniBooNE",
        "adult",
        "bank-marketing",
        "blood-transfusion-service-center",
        "car",
        "christine",
        "cnae-9",
        "credit-g",
        "kc1",
        "kr-vs-kp",
        "phoneme",
        "segment",
        "sylvine",
        "vehicle",
    ),
    "fcnet": ("naval_propulsion", "parkinsons_telemonitoring"),
    "hpobench_mlp": ("australian", "car", "credit_g", "segment"),
    "nasbench201": ("cifar10",),
}
ALL = [f"{kind}/{name}" for kind, names in NAMES.items() for name in names]
CHOOSE, REPORT = ALL[0::2], ALL[1::2]
CORE = [table for kind in NAMES for table in [t for t in REPORT if t.startswith(f"{kind}/")][:4]]
SETS = {"all": ALL, "choose": CHOOSE, "report": REPORT, "core": CORE}

# The ranges that configurations were drawn from, log-uniformly where `log`, as those drawn show. In TaskSet what lies
# between beta and 1 is log-uniform, not beta.
TASKSET_SPACE = Space(
    learning_rate=Float(1e-8, 10, log=True),
    one_minus_beta1=Float(1e-4, 1, log=True),
    one_minus_beta2=Float(1e-6, 1, log=True),
    epsilon=Float(1e-10, 1e3, log=True),
    l1=Float(1e-8, 10, log=True),
    l2=Float(1e-8, 10, log=True),
    linear_decay=Float(1e-7, 1e-4, log=True),
    exponential_decay=Float(1e-6, 1e-3, log=True),
)
LCBENCH_SPACE = Space(
    batch_size=Int(16, 512, log=True),
    learning_rate=Float(1e-4, 1e-1, log=True),
    momentum=Float(0.1, 0.99, log=True),
    weight_decay=Float(1e-5, 1e-1),
    num_layers=Int(1, 4),
    max_units=Int(64, 1024, log=True),
    max_dropout=Float(0.0, 1.0),
)


class Table:
    """Configurations by index, each with its `losses[index]` (lower is better; NaN: diverged), and their `space`.

    `curves[index, reading]` are the losses on the way and `seconds[index, reading]` what had been spent by then, where
    recorded, else None.
    """

    def __init__(
        self,
        name: str,
        space: Space,
        losses: np.ndarray,
        curves: np.ndarray | None = None,
        seconds: np.ndarray | None = None,
    ) -> None:
        self.name, self.space, self.losses, self.curves, self.seconds = name, space, losses, curves, seconds
        self.best, self.median = float(np.nanmin(losses)), float(np.nanmedian(losses))

    def regret(self, loss: float) -> float:
        """Returns the normalized regret of a loss: 0 for the table's best, 1 for the median of those that trained."""
        return (loss - self.best) / (self.median - self.best)

    def find(self, params: Mapping[str, Any], taken: Collection[int]) -> int:
        """Returns the index of the configuration that `params` stand for, after those in `taken`."""
        raise NotImplementedError

    def params(self, index: int) -> dict[str, Any]:
        """Returns a configuration of `space`."""
        raise NotImplementedError


class Pool(Table):
    """Configurations drawn at random: `find` returns the nearest in the unit cube that isn't taken."""

    def __init__(self, name: str, space: Space, configurations: Sequence[dict[str, Any]], *recorded: Any) -> None:
        super().__init__(name, space, *recorded)
        self._configurations = configurations
        self._distributions = space.to_distributions()
        self._units = np.array([self._unit(params) for params in configurations])

    def _unit(self, params: Mapping[str, Any]) -> list[float]:
        return [to_unit(distribution, params[name]) for name, distribution in self._distributions.items()]

    def find(self, params: Mapping[str, Any], taken: Collection[int]) -> int:
        distances = ((self._units - self._unit(params)) ** 2).sum(axis=1)
        distances[list(taken)] = np.inf
        return int(np.argmin(distances))

    def params(self, index: int) -> dict[str, Any]:
        return self._configurations[index]


class Grid(Table):
    """Every configuration of a full grid, `keys[index]` being the places of its values in `values`.

    A number is proposed by its place in its list, which are all in order and mostly geometric; a string is a choice.
    """

    def __init__(self, name: str, values: Mapping[str, Sequence[Any]], keys: np.ndarray, losses: np.ndarray) -> None:
        self.values, self._keys = values, keys
        self._index = {bytes(key): index for index, key in enumerate(keys)}
        super().__init__(name, Space({n: self._parameter(v) for n, v in values.items()}), losses)

    @staticmethod
    def _parameter(values: Sequence[Any]) -> Parameter:
        return Choice(values) if isinstance(values[0], str) else Int(0, len(values) - 1)

    def find(self, params: Mapping[str, Any], taken: Collection[int]) -> int:
        places = (self.values[n].index(v) if isinstance(v, str) else v for n, v in params.items())
        return self._index[bytes(places)]

    def params(self, index: int) -> dict[str, Any]:
        places = zip(self.values.items(), self._keys[index].tolist(), strict=True)
        return {n: values[place] if isinstance(values[0], str) else place for (n, values), place in places}


def named(parts: Sequence[str]) -> list[str]:
    """Returns the names of tables, each once, where `parts` names tables and sets of them."""
    return list(dict.fromkeys(name for part in parts for name in SETS.get(part, [part])))


@functools.cache
def load(folder: Path, name: str) -> Table:
    """Returns a table by its name, `kind/name`, from a folder with `lookup.py`."""
    kind, task = name.split("/")
    if kind == "taskset":
        return _taskset(folder, task)
    return _lcbench(folder, task) if kind == "lcbench" else _grid(folder, kind, task)


def _taskset(folder: Path, task: str) -> Table:
    recorded, curves, _ = _lookup(folder).taskset(task)
    configurations = [_adam(params) for params in recorded]
    return Pool(f"taskset/{task}", TASKSET_SPACE, configurations, curves[:, -1], curves)


def _adam(recorded: Mapping[str, Any]) -> dict[str, float]:
    params = {name: float(value) for name, value in recorded.items()}
    for beta in ("beta1", "beta2"):
        params[f"one_minus_{beta}"] = 1 - params.pop(beta)
    return {name: params[name] for name in TASKSET_SPACE.names}


def _lcbench(folder: Path, task: str) -> Table:
    final = _lookup(folder).lcbench_final(task)
    configurations = [
        {n: int(row[n]) if isinstance(p, Int) else float(row[n]) for n, p in LCBENCH_SPACE.parameters.items()}
        for row in final[list(LCBENCH_SPACE.names)].to_dict("records")
    ]
    recorded = [1 - final["final_val_balanced_accuracy"].to_numpy()]
    if task == "blood-transfusion-service-center":
        _, accuracies, seconds = _lookup(folder).lcbench_curves("Train/val_balanced_accuracy")
        recorded += [1 - accuracies, seconds]
    return Pool(f"lcbench/{task}", LCBENCH_SPACE, configurations, *recorded)


def _grid(folder: Path, kind: str, task: str) -> Table:
    table = np.load(folder / kind / f"{task}.npz")
    scores = np.nanmean(table["value"], axis=1)  # over seeds; NAS-Bench-201 lacks the third for some
    losses = {"fcnet": scores, "hpobench_mlp": 1 - scores, "nasbench201": 100 - scores}[kind]
    return Grid(f"{kind}/{task}", _lookup(folder).GRIDS[kind], table["key"], losses)


@functools.cache
def _lookup(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lookup", folder / "lookup.py")
    assert spec is not None
    assert spec.loader is not None
    lookup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lookup)
    return lookup
