"""What every stack promises, on the CPU and within one plan, whatever network its lanes train."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leadline import Trainer
from leadline.trainers import checkpoints
from leadline.trainers.data import Dataset, Subset
from leadline.trainers.messages import Job
from leadline.trainers.metrics import METRICS, Metric
from leadline.trainers.optimizers import OPTIMIZERS
from leadline.trainers.recipe import Recipe
from leadline.trainers.schedules import learning_rates
from leadline.trainers.stack import Bench, Epoch, Lane, Stack
from leadline.trainers.streams import Stream

from .models import FAMILIES, MODELS, Shifting, tied

MakeStack = Callable[[Bench], Stack]
Curve = list[dict[str, float]]
Result = tuple[Curve, dict[str, Tensor]]  # of a lane: what each epoch came to, and its weights after the last


def blobs(n: int = 96, shape: tuple[int, ...] = (6,), classes: int = 3) -> tuple[Tensor, Tensor]:
    """Returns inputs (n, *shape) and targets (n,): one Gaussian blob a class."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(n) % classes
    centres = torch.randn(classes, *shape, generator=generator)
    return centres[targets] + 0.7 * torch.randn(n, *shape, generator=generator), targets


class Hall:
    """Lanes and their networks for one kind of stack, made as a worker makes them, or all in float64."""

    def __init__(
        self,
        make: MakeStack,
        model: Any = "mlp",
        data: Any = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        metric: str | None = None,
        **settings: Any,
    ) -> None:
        self.make, self.seed, self.dtype = make, seed, dtype
        self.trainer = Trainer(model, blobs() if data is None else data, **{"batch_size": 16, **settings})
        bench = self.trainer.bench(Job(seed=seed, metric=metric, maximize=True, device="cpu"))
        self.bench = replace(bench, folds=tuple(map(self._cast_all, bench.folds)))

    def _cast_all(self, data: Dataset) -> Dataset:
        balance = None if data.balance is None else data.balance.to(self.dtype)
        return replace(data, train=self._cast(data.train), valid=self._cast(data.valid), balance=balance)

    def _cast(self, subset: Subset) -> Subset:
        targets = subset.targets.to(self.dtype) if subset.targets.is_floating_point() else subset.targets
        return Subset(subset.inputs.to(self.dtype), targets)

    def lane(self, number: int, fold: int = 0, **params: Any) -> tuple[Lane, nn.Module]:
        lane = Lane(number, params, self.trainer.recipe(params), Stream(self.seed, number, fold))
        network = self.trainer.network(lane, self.bench)
        return lane, network if self.dtype == torch.float32 else network.to(self.dtype)

    def stack(self, *lanes: tuple[Lane, nn.Module]) -> Stack:
        stack = self.make(self.bench)
        for lane, network in lanes:
            stack.add(lane, network)
        return stack

    def alone(self, number: int, epochs: int = 3, fold: int = 0, **params: Any) -> Result:
        """Returns what came of a lane that had its stack for itself."""
        lane, network = self.lane(number, fold, **params)
        return run(self.stack((lane, network)), lane, epochs)

    def among(self, number: int, count: int, epochs: int = 3, **params: Any) -> Result:
        """Returns what came of the lane of that number among `count` lanes, numbered from 0."""
        lanes = [self.lane(other, **params) for other in range(count)]
        return run(self.stack(*lanes), lanes[number][0], epochs)


def point(lane: Lane, epochs: Sequence[Epoch]) -> dict[str, float]:
    """Returns what an epoch came to for that lane, but for its seconds."""
    (epoch,) = (epoch for epoch in epochs if epoch.lane is lane)
    if epoch.error is not None:
        raise epoch.error
    return {"value": epoch.value, **epoch.metrics}


def run(stack: Stack, lane: Lane, epochs: int) -> Result:
    """Trains a stack, and returns what came of one of its lanes."""
    return [point(lane, stack.train_epoch()) for _ in range(epochs)], stack.weights(lane)


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    """Tells whether two sets of tensors are equal in every bit."""
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def identical(some: Result, other: Result) -> bool:
    """Tells whether two lanes came to the same in every bit, curve and weights."""
    return some[0] == other[0] and same(some[1], other[1])


def torch_optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Returns torch's own optimizer for a recipe."""
    lr, weight_decay, betas = recipe.lr, recipe.weight_decay, (recipe.beta1, recipe.beta2)
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, lr, momentum=recipe.momentum, weight_decay=weight_decay)
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr, weight_decay=weight_decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr, weight_decay=weight_decay)
        case "adam":
            return torch.optim.Adam(parameters, lr, betas, weight_decay=weight_decay)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, betas, weight_decay=weight_decay)
    raise NotImplementedError(recipe.optimizer)


def plainly_trained(hall: Hall, lane: Lane, network: nn.Module, epochs: int) -> dict[str, Tensor]:
    """Returns the weights that a loop as users write it comes to; dropout is none of its business."""
    recipe, train = lane.recipe, hall.bench.data.train
    optimizer = torch_optimizer(recipe, network.parameters())
    batch = min(recipe.batch_size, len(train))
    steps = len(train) // batch
    network.train()
    for epoch in range(1, epochs + 1):
        generator = torch.Generator().manual_seed(lane.stream.key("order", epoch))
        order = torch.randperm(len(train), generator=generator)[: steps * batch]
        for rows, lr in zip(order.split(batch), learning_rates(recipe, epoch, steps).tolist(), strict=True):
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            outputs, targets = network(train.inputs[rows]), train.targets[rows]
            loss = F.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)
            (loss + recipe.l1 * sum(p.abs().sum() for p in network.parameters() if p.ndim > 1)).backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimizer.step()
    return dict(network.state_dict())


PLACES = {  # the number of the lane, and how many there are
    "the first of two": (0, 2),
    "the last of three": (2, 3),
    "the last of five": (4, 5),
    "the 38th of 64": (37, 64),
}
ALTERATIONS: dict[str, dict[str, Any]] = {  # what is done to examples and classes; the values of two lanes of a stack
    "flip": {"flip": (0.5, 0.9)},
    "shift": {"shift": (2, 1)},
    "cutout": {"cutout": (3, 2)},
    "mixup": {"mixup": (0.4, 1.0)},
    "class weights": {"class_weights": ("balanced", "balanced")},
    "all together": {
        "flip": (0.5, 0.1),
        "shift": (1, 3),
        "cutout": (2, 4),
        "mixup": (0.2, 2.0),
        "class_weights": ("balanced", "balanced"),
        "label_smoothing": (0.1, 0.3),
    },
}


def altered(name: str, which: int = 0) -> dict[str, Any]:
    """Returns the settings of one of the two lanes that these alterations are tried on."""
    return {setting: values[which] for setting, values in ALTERATIONS[name].items()}


def uneven(n: int = 78, shape: tuple[int, ...] = (2, 5, 7)) -> tuple[Tensor, Tensor]:
    """Returns blobs of images that aren't square, (n, *shape), in three classes of which the last one is rare."""
    inputs, targets = blobs(n, shape, classes=6)
    return inputs, torch.tensor([0, 0, 0, 1, 1, 2])[targets]


class StackContract:
    """Subclass it, and give the fixture `make`: what every kind of stack promises is then tested of yours."""

    @pytest.fixture
    def make(self) -> MakeStack:
        raise NotImplementedError

    models: Collection[str] = MODELS  # what lanes of this kind of stack may train
    places: Mapping[str, tuple[int, int]] = PLACES  # where its lanes are tried

    def hall(self, make: MakeStack, model: str, **settings: Any) -> tuple[Hall, dict[str, Any]]:
        if model not in self.models:
            pytest.skip(f"this kind of stack doesn't train {model}")
        builder, shape, params = MODELS[model]
        return Hall(make, builder, blobs(78, shape), **settings), params  # 52 training rows, 13 for validation

    @pytest.fixture(params=MODELS)
    def hall_and_params(self, request: pytest.FixtureRequest, make: MakeStack) -> tuple[Hall, dict[str, Any]]:
        return self.hall(make, request.param)

    # A lane is its own

    @pytest.mark.parametrize("batch_size", [16, 32, 7, 50])
    @pytest.mark.parametrize("model", MODELS)
    def test_wherever_a_lane_is_it_is_bit_identical_to_the_lane_alone(
        self, make: MakeStack, model: str, batch_size: int
    ) -> None:
        hall, params = self.hall(make, model, batch_size=batch_size)
        elsewhere = {
            name
            for name, (number, count) in self.places.items()
            if not identical(hall.among(number, count, epochs=1, **params), hall.alone(number, epochs=1, **params))
        }
        assert elsewhere == set()

    def test_a_lane_among_others_is_bit_identical_to_the_lane_alone(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        middle = hall.lane(3, **params)
        stack = hall.stack(hall.lane(5, **params, lr=0.1), middle, hall.lane(1, **params, weight_decay=0.1))
        assert identical(run(stack, middle[0], epochs=3), hall.alone(3, **params))

    def test_a_lane_whose_neighbours_leave_one_by_one_is_bit_identical_to_the_lane_alone(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        lanes = [hall.lane(number, **params) for number in range(5)]
        lane, _ = lanes[3]
        stack, curve = hall.stack(*lanes), []
        for leaving in (0, 4, 2, 1):
            curve.append(point(lane, stack.train_epoch()))
            stack.remove(lanes[leaving][0])
        curve.append(point(lane, stack.train_epoch()))
        assert identical((curve, stack.weights(lane)), hall.alone(3, epochs=5, **params))

    def test_a_lane_whose_stack_grows_is_bit_identical_to_the_lane_alone(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        lane, network = hall.lane(3, **params)
        stack, curve = hall.stack((lane, network)), []
        for number in (1, 2, 7):
            curve.append(point(lane, stack.train_epoch()))
            stack.add(*hall.lane(number, **params))
        curve.append(point(lane, stack.train_epoch()))
        assert identical((curve, stack.weights(lane)), hall.alone(3, epochs=4, **params))

    def test_a_lane_that_joins_a_running_stack_is_bit_identical_to_the_lane_alone(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        stack = hall.stack(hall.lane(1, **params))
        stack.train_epoch()
        lane, network = hall.lane(3, **params)
        stack.add(lane, network)
        assert identical(run(stack, lane, epochs=3), hall.alone(3, **params))

    def test_a_lane_that_takes_anothers_place_and_its_neighbour_are_bit_identical_to_lanes_alone(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        leaving, staying = hall.lane(0, **params, lr=0.1), hall.lane(3, **params)
        stack = hall.stack(leaving, staying)
        before = point(staying[0], stack.train_epoch())
        stack.remove(leaving[0])
        joining = hall.lane(8, **params)
        stack.add(*joining)
        epochs = [stack.train_epoch() for _ in range(2)]
        stayed = [before, *(point(staying[0], epoch) for epoch in epochs)]
        joined = [point(joining[0], epoch) for epoch in epochs]
        assert identical((stayed, stack.weights(staying[0])), hall.alone(3, **params))
        assert identical((joined, stack.weights(joining[0])), hall.alone(8, epochs=2, **params))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_lane_of_every_family_is_bit_identical_to_the_lane_alone_wherever_and_whenever_it_joins(
        self, make: MakeStack, family: str
    ) -> None:
        shape, params, other = FAMILIES[family]
        hall = Hall(make, family, blobs(54, shape), batch_size=12)  # 36 training rows, 9 for validation
        alone = hall.alone(0, epochs=2, **params)
        beside = hall.lane(0, **params), hall.lane(1, **{**params, **other})
        assert identical(run(hall.stack(*beside), beside[0][0], epochs=2), alone)
        leaving, staying, joining = hall.lane(7, **params), hall.lane(3, **{**params, **other}), hall.lane(0, **params)
        stack = hall.stack(leaving, staying, hall.lane(2, **params))
        stack.train_epoch()
        stack.remove(leaving[0])
        stack.add(*joining)
        assert identical(run(stack, joining[0], epochs=2), alone)
        assert identical(hall.among(2, 3, epochs=1, **params), hall.alone(2, epochs=1, **params))

    @pytest.mark.parametrize("name", ALTERATIONS)
    def test_wherever_a_lane_with_altered_examples_or_classes_is_it_is_bit_identical_to_the_lane_alone(
        self, make: MakeStack, name: str
    ) -> None:
        hall, params = Hall(make, "convnet", uneven()), {"depth": 1, "feature_maps": 7, **altered(name)}
        few = [(0, 2), (1, 2), (2, 3), (4, 5)]
        elsewhere = {
            (number, count)
            for number, count in few
            if not identical(hall.among(number, count, epochs=1, **params), hall.alone(number, epochs=1, **params))
        }
        assert elsewhere == set()

    @pytest.mark.parametrize("name", ALTERATIONS)
    def test_altered_otherwise_than_its_neighbours_and_in_anothers_place_a_lane_is_bit_identical_to_the_lane_alone(
        self, make: MakeStack, name: str
    ) -> None:
        hall, params = Hall(make, "convnet", uneven()), {"depth": 1, "feature_maps": 4}
        some, others = ({**params, **altered(name, which)} for which in (0, 1))
        leaving, staying = hall.lane(0, **others), hall.lane(3, **some)
        stack = hall.stack(leaving, staying)
        before = point(staying[0], stack.train_epoch())
        stack.remove(leaving[0])
        joining = hall.lane(8, **others)
        stack.add(*joining)
        epochs = [stack.train_epoch() for _ in range(2)]
        stayed = [before, *(point(staying[0], epoch) for epoch in epochs)]
        joined = [point(joining[0], epoch) for epoch in epochs]
        assert identical((stayed, stack.weights(staying[0])), hall.alone(3, **some))
        assert identical((joined, stack.weights(joining[0])), hall.alone(8, epochs=2, **others))

    def test_altered_folds_share_a_stack_and_are_bit_identical_to_folds_alone(self, make: MakeStack) -> None:
        hall = Hall(make, "convnet", uneven(80), folds=3)
        params = {"depth": 1, "feature_maps": 4, **altered("all together")}
        lanes = [hall.lane(4, fold, **params) for fold in range(3)]
        stack = hall.stack(*lanes)
        epochs = [stack.train_epoch() for _ in range(2)]
        for fold, (lane, _) in enumerate(lanes):
            came_to = [point(lane, epoch) for epoch in epochs], stack.weights(lane)
            assert identical(came_to, hall.alone(4, epochs=2, fold=fold, **params))

    @pytest.mark.parametrize("batch_size", [16, 7])
    @pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
    def test_a_regression_by_every_loss_and_with_mixup_is_bit_identical_to_the_lane_alone(
        self, make: MakeStack, loss: str, batch_size: int
    ) -> None:
        inputs, _ = blobs(78)
        hall = Hall(make, data=(inputs, 1e6 * inputs.sum(1) + 1e7), loss=loss, batch_size=batch_size)
        for params in ({}, {"mixup": 0.4}):
            for number, count in ((0, 2), (2, 3)):
                assert identical(hall.among(number, count, epochs=2, **params), hall.alone(number, epochs=2, **params))

    def test_the_folds_of_a_trial_share_a_stack_and_are_bit_identical_to_folds_alone(self, make: MakeStack) -> None:
        hall = Hall(make, data=blobs(80), folds=3)  # 23, 22 and 22 rows for validation
        lanes = [hall.lane(4, fold) for fold in range(3)]
        stack = hall.stack(*lanes, hall.lane(1, fold=2))
        epochs = [stack.train_epoch() for _ in range(2)]
        assert [epoch.lane.rank for epoch in epochs[0]] == [(1, 2), (4, 0), (4, 1), (4, 2)]
        for fold, (lane, _) in enumerate(lanes):
            came_to = [point(lane, epoch) for epoch in epochs], stack.weights(lane)
            assert identical(came_to, hall.alone(4, epochs=2, fold=fold))

    @pytest.mark.parametrize("metric", METRICS)
    def test_by_every_metric_a_lane_is_bit_identical_to_the_lane_alone(self, make: MakeStack, metric: str) -> None:
        inputs, targets = blobs(78)
        data = (inputs, inputs.sum(1)) if METRICS[metric].task == "regression" else (inputs, targets)
        hall = Hall(make, data=data, metric=metric)
        assert identical(hall.among(2, 3, epochs=1), hall.alone(2, epochs=1))

    def test_a_lane_beside_one_that_diverges_is_bit_identical_to_the_lane_alone(self, make: MakeStack) -> None:
        hall = Hall(make, optimizer="sgd")
        lane = hall.lane(3)
        stack = hall.stack(hall.lane(1, lr=1e30), lane)
        assert identical(run(stack, lane[0], epochs=3), hall.alone(3))

    def test_the_state_of_torchs_generator_changes_nothing_and_is_left_as_it_was(
        self, hall_and_params: tuple[Hall, dict[str, Any]]
    ) -> None:
        hall, params = hall_and_params
        curves = []
        for seed in (1, 2):
            with torch.random.fork_rng([]):
                torch.manual_seed(seed)
                before = torch.get_rng_state()
                curves.append(hall.alone(0, epochs=2, **params))
                assert torch.equal(torch.get_rng_state(), before)
        assert curves[0][0] == curves[1][0]
        assert same(curves[0][1], curves[1][1])

    def test_the_study_seed_the_trial_number_and_the_fold_each_give_another_curve(self, make: MakeStack) -> None:
        hall = Hall(make)
        curves = [
            hall.alone(0, epochs=1)[0],
            hall.alone(1, epochs=1)[0],
            hall.alone(0, epochs=1, fold=1)[0],
            Hall(make, seed=1).alone(0, epochs=1)[0],
        ]
        losses = {curve[0]["train/loss"] for curve in curves}
        assert len(losses) == len(curves)

    # An epoch

    def test_epochs_come_in_the_order_of_trial_numbers(self, make: MakeStack) -> None:
        hall = Hall(make)
        stack = hall.stack(hall.lane(7), hall.lane(2), hall.lane(4))
        assert [epoch.lane.number for epoch in stack.train_epoch()] == [2, 4, 7]
        assert [lane.number for lane in stack.lanes] == [2, 4, 7]

    def test_a_lane_counts_its_epochs_and_its_seconds(self, make: MakeStack) -> None:
        hall = Hall(make)
        lane, network = hall.lane(0)
        stack = hall.stack((lane, network))
        seconds = [stack.train_epoch()[0].seconds for _ in range(2)]
        assert lane.epoch == 2
        assert min(seconds) > 0
        assert lane.seconds == pytest.approx(sum(seconds))

    def test_an_epoch_tells_loss_and_metric_on_training_and_validation_rows(self, make: MakeStack) -> None:
        hall = Hall(make)
        (epoch,) = hall.stack(hall.lane(0)).train_epoch()
        assert set(epoch.metrics) == {"train/loss", "train/accuracy", "valid/loss", "valid/accuracy"}
        assert epoch.value == epoch.metrics["valid/accuracy"]
        assert epoch.diverged_at is None

    def test_the_validation_metric_is_that_of_the_weights_after_the_epoch(self, make: MakeStack) -> None:
        hall = Hall(make)
        params = {"depth": 2, "batch_norm": True, "dropout": 0.4}
        lane, network = hall.lane(0, **params)
        stack = hall.stack((lane, network))
        (epoch,) = stack.train_epoch()
        _, judged = hall.lane(0, **params)
        judged.load_state_dict(stack.weights(lane))
        valid = hall.bench.data.valid
        with torch.no_grad():
            outputs = judged.eval()(valid.inputs)
        assert epoch.value == pytest.approx(float((outputs.argmax(1) == valid.targets).double().mean()))
        assert epoch.metrics["valid/loss"] == pytest.approx(float(F.cross_entropy(outputs, valid.targets)), rel=1e-5)

    @pytest.mark.parametrize("name", ALTERATIONS)
    def test_validation_examples_and_their_loss_are_never_altered(self, make: MakeStack, name: str) -> None:
        hall, params = Hall(make, "convnet", uneven()), {"depth": 1, "feature_maps": 4}
        lane, network = hall.lane(0, **params, **altered(name))
        stack = hall.stack((lane, network))
        valid = hall.bench.data.valid
        kept = valid.inputs.clone()
        (epoch,) = stack.train_epoch()
        _, judged = hall.lane(0, **params)
        judged.load_state_dict(stack.weights(lane))
        with torch.no_grad():
            outputs = judged.eval()(kept)
        assert torch.equal(valid.inputs, kept)
        assert epoch.value == pytest.approx(float((outputs.argmax(1) == valid.targets).double().mean()))
        assert epoch.metrics["valid/loss"] == pytest.approx(float(F.cross_entropy(outputs, valid.targets)), rel=1e-5)

    @pytest.mark.parametrize("name", ALTERATIONS)
    def test_every_alteration_changes_what_is_learned_and_leaves_the_training_examples_as_they_were(
        self, make: MakeStack, name: str
    ) -> None:
        hall, params = Hall(make, "convnet", uneven()), {"depth": 1, "feature_maps": 4}
        before = hall.bench.data.train.inputs.clone()
        _, plain = hall.alone(0, epochs=1, **params)
        assert not same(hall.alone(0, epochs=1, **params, **altered(name))[1], plain)
        assert torch.equal(hall.bench.data.train.inputs, before)

    def test_the_step_whose_loss_is_no_number_is_named(self, make: MakeStack) -> None:
        hall = Hall(make, optimizer="sgd", lr=1e30)
        (epoch,) = hall.stack(hall.lane(0)).train_epoch()
        assert epoch.diverged_at is not None
        assert 2 <= epoch.diverged_at <= len(hall.bench.data.train) // 16

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_a_hundred_steps_in_float64_are_those_of_plain_pytorch(self, make: MakeStack, optimizer: str) -> None:
        rates = {"lr": 0.002, "weight_decay": 0.01, "l1": 0.001, "label_smoothing": 0.1, "clip_norm": 0.5}
        schedule = {"epochs": 25, "schedule": "cosine", "warmup": 2}
        hall = Hall(make, dtype=torch.float64, optimizer=optimizer, **rates, **schedule)
        lane, network = hall.lane(0, batch_norm=True)
        expected = plainly_trained(hall, lane, deepcopy(network), epochs=25)
        _, weights = run(hall.stack((lane, network)), lane, epochs=25)
        assert hall.bench.steps(lane.recipe) * 25 == 100
        torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-9)

    # What may go wrong

    @pytest.mark.parametrize(("raised", "kind"), [(ValueError, ValueError), (SystemExit, RuntimeError)])
    def test_a_metric_that_fails_on_one_lanes_outputs_fails_that_lane_alone(
        self, make: MakeStack, raised: type[BaseException], kind: type[Exception]
    ) -> None:
        def picky(outputs: Tensor, targets: Tensor) -> Tensor:
            if not outputs.isfinite().all():
                raise raised("Input contains NaN")
            return (outputs.argmax(1) == targets).double().mean()

        hall = Hall(make, optimizer="sgd")
        hall.bench = replace(hall.bench, metric=Metric("picky", picky))
        stack = hall.stack(hall.lane(0, lr=1e30), hall.lane(1))
        failed, fine = stack.train_epoch()
        assert isinstance(failed.error, kind)
        assert fine.error is None
        assert [fine.value] == [curve["value"] for curve in hall.alone(1, epochs=1)[0]]

    @pytest.mark.parametrize("raised", [SystemExit, BaseException])
    def test_a_network_that_would_end_the_process_is_an_error_of_each_lane(
        self, make: MakeStack, raised: type[BaseException]
    ) -> None:
        class Ending(nn.Linear):
            def forward(self, inputs: Tensor) -> Tensor:
                raise raised("of its own")

        hall = Hall(make, lambda in_shape, classes: Ending(in_shape[0], classes))
        epochs = hall.stack(hall.lane(0), hall.lane(1)).train_epoch()
        assert [str(epoch.error) for epoch in epochs] == 2 * [f"the code raised {raised.__name__}: of its own"]

    @pytest.mark.parametrize("first", [lambda: nn.ReLU(inplace=True), Shifting], ids=["a chain", "a user's module"])
    def test_a_network_that_works_in_place_leaves_the_data_as_they_were(
        self, make: MakeStack, first: Callable[[], nn.Module]
    ) -> None:
        def in_place(in_shape: tuple[int, ...], classes: int) -> nn.Module:
            return nn.Sequential(first(), nn.Linear(in_shape[0], classes))

        hall = Hall(make, in_place)
        data = hall.bench.data
        before = data.train.inputs.clone(), data.valid.inputs.clone()
        hall.stack(hall.lane(0), hall.lane(1)).train_epoch()  # it may also refuse
        assert torch.equal(data.train.inputs, before[0])
        assert torch.equal(data.valid.inputs, before[1])

    # Numbers

    @pytest.mark.parametrize("model", ["mlp with batch norm", "convnet", "residual branches"])
    def test_bfloat16_trains_to_finite_float32_weights(self, make: MakeStack, model: str) -> None:
        hall, params = self.hall(make, model, precision="bfloat16", lr=0.01)
        curve, weights = hall.alone(0, **params)
        assert curve[-1]["train/loss"] < curve[0]["train/loss"]
        assert all(tensor.dtype != torch.bfloat16 and tensor.isfinite().all() for tensor in weights.values())

    # One value per lane

    def test_l1_pulls_weights_towards_zero_and_leaves_biases_alone(self, make: MakeStack) -> None:
        hall = Hall(make, optimizer="sgd", momentum=0.0, lr=0.1, batch_size=1000)  # an epoch is one step
        lane, network = hall.lane(0)
        before = deepcopy(network.state_dict())
        _, free = hall.alone(0, epochs=1)
        _, pulled = hall.alone(0, epochs=1, l1=0.05)
        for name, weights in free.items():
            pull = 0.1 * 0.05 * before[name].sign() if weights.ndim > 1 else torch.zeros_like(weights)
            torch.testing.assert_close(weights - pulled[name], pull, rtol=1e-4, atol=1e-6)
        assert lane.number == 0

    @pytest.mark.parametrize(
        "params",
        [
            {"lr": 0.02},
            {"weight_decay": 0.1},
            {"momentum": 0.5},
            {"l1": 0.01},
            {"label_smoothing": 0.2},
            {"clip_norm": 0.1},
            {"dropout": 0.5},
            {"schedule": "linear"},
        ],
        ids=lambda params: next(iter(params)),
    )
    def test_lanes_of_one_stack_may_differ_in_every_rate(self, make: MakeStack, params: dict[str, Any]) -> None:
        hall = Hall(make, optimizer="sgd", lr=0.01)
        plain, other = hall.lane(0), hall.lane(1, **params)
        stack = hall.stack(plain, other)
        for _ in range(2):
            stack.train_epoch()
        assert same(stack.weights(plain[0]), hall.alone(0, epochs=2)[1])
        assert same(stack.weights(other[0]), hall.alone(1, epochs=2, **params)[1])
        assert not same(stack.weights(other[0]), hall.alone(1, epochs=2)[1])

    # What is kept

    @pytest.mark.parametrize("folds", [1, 3])
    def test_all_lanes_predict_together_what_each_predicts_bit_for_bit(self, make: MakeStack, folds: int) -> None:
        hall, params = self.hall(make, "mlp", folds=folds)
        stack = hall.stack(*(hall.lane(number, fold, **params) for number in range(3) for fold in range(folds)))
        stack.train_epoch()
        inputs = [data.valid.inputs for data in hall.bench.folds]
        together = stack.predict_all(inputs)
        assert len(together) == len(stack.lanes)
        for lane, outputs in zip(stack.lanes, together, strict=True):
            assert torch.equal(outputs, stack.predict(lane, inputs[lane.stream.fold]))

    def test_weights_are_a_copy(self, make: MakeStack) -> None:
        hall = Hall(make)
        lane, network = hall.lane(0, batch_norm=True)
        stack = hall.stack((lane, network))
        stack.train_epoch()
        weights = stack.weights(lane)
        kept = {name: tensor.clone() for name, tensor in weights.items()}
        stack.train_epoch()
        assert same(weights, kept)
        assert not same(weights, stack.weights(lane))

    @pytest.mark.parametrize("optimizer", OPTIMIZERS)
    def test_a_lane_goes_on_from_its_checkpoint_as_if_nothing_had_been(
        self, make: MakeStack, optimizer: str, tmp_path: Path
    ) -> None:
        hall = Hall(make, optimizer=optimizer, lr=0.01, weight_decay=0.01)
        params = {"depth": 2, "dropout": 0.3, "batch_norm": True}
        curve, weights = hall.alone(3, epochs=4, **params)
        lane, network = hall.lane(3, **params)
        stack = hall.stack(hall.lane(1, **params), (lane, network))
        for _ in range(2):
            stack.train_epoch()
        checkpoints.write(tmp_path / "lane.safetensors", stack.tensors(lane), {})

        found = checkpoints.read(tmp_path / "lane.safetensors")
        assert found is not None
        again, fresh = hall.lane(3, **params)
        again.epoch = 2
        stack = hall.stack(hall.lane(8, **params))
        stack.add(again, fresh, found[0])
        assert [point(again, stack.train_epoch()) for _ in range(2)] == curve[2:]
        assert same(stack.weights(again), weights)

    def test_a_network_with_tied_weights_goes_on_from_its_checkpoint(self, make: MakeStack, tmp_path: Path) -> None:
        hall = Hall(make, tied)
        curve, _ = hall.alone(0, epochs=2)
        lane, network = hall.lane(0)
        stack = hall.stack((lane, network))
        stack.train_epoch()
        checkpoints.write(tmp_path / "lane.safetensors", stack.tensors(lane), {})
        found = checkpoints.read(tmp_path / "lane.safetensors")
        assert found is not None
        again, fresh = hall.lane(0)
        again.epoch = 1
        stack = hall.stack()
        stack.add(again, fresh, found[0])
        assert point(again, stack.train_epoch()) == curve[1]

    def test_the_best_weights_of_a_lane_load_into_a_network_built_the_same(self, make: MakeStack) -> None:
        hall = Hall(make)
        _, weights = hall.alone(0, epochs=1, batch_norm=True)
        _, network = hall.lane(0, batch_norm=True)
        network.load_state_dict(weights)
        assert same(dict(network.state_dict()), weights)

    # It learns

    def test_it_learns_the_digits(self, make: MakeStack) -> None:
        hall = Hall(make, data="digits", batch_size=32, lr=3e-3)
        curve, _ = hall.alone(0, epochs=6)
        assert curve[-1]["value"] > 0.93

    def test_it_learns_a_regression(self, make: MakeStack) -> None:
        inputs = torch.randn(240, 4, generator=torch.Generator().manual_seed(0))
        hall = Hall(make, data=(inputs, inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0])), lr=0.02)
        curve, _ = hall.alone(0, epochs=8)
        assert curve[-1]["value"] > 0.95
