"""The plan: which networks can be fused, why others can't, and which way is taken where both can be."""

import math
from functools import partial

import pytest
import torch
from contracts.stack import blobs
from torch import nn
from torch.nn import functional as F

from leadline import Trainer
from leadline.trainers import plan
from leadline.trainers.messages import Job
from leadline.trainers.plan import Plan, choose, choose_padding
from leadline.trainers.recipe import Recipe
from leadline.trainers.stack import FusedStack, LoopedStack

MLP = {"depth": 1, "feature_maps": 16, "dropout": 0.2}
RECIPE = Recipe(batch_size=16)


class Rehearsal:
    """A bench, and what makes networks of a model for it."""

    def __init__(self, model, **params):
        self.trainer, self.params = Trainer(model, blobs()), params
        self.bench = self.trainer.bench(Job(seed=0, metric=None, maximize=True, device="cpu"))

    def build(self, **widths):
        with self.bench.seeded(3):
            params = {**self.params, **widths}
            return self.trainer.build(params, self.bench.data.in_shape, self.bench.data.outputs)

    def choose(self, wanted="fused", lanes=4):
        return choose(self.bench, self.build, RECIPE, lanes=lanes, fixed=True, wanted=wanted)


def of(kind):
    """Returns a builder of a module whose class takes the count of features and of classes."""
    return lambda in_shape, classes: kind(in_shape[0], classes)


class Layers(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.first, self.last = nn.Linear(features, 16), nn.Linear(16, classes)


class Drawing(Layers):
    def forward(self, inputs):
        return self.last(F.dropout(F.relu(self.first(inputs)), 0.2, self.training))


class Noisy(Layers):
    def forward(self, inputs):
        hidden = F.relu(self.first(inputs))
        return self.last(hidden + 0.1 * torch.randn_like(hidden))


class Deciding(Layers):
    def forward(self, inputs):
        hidden = self.first(inputs)
        return self.last(F.relu(hidden) if hidden.mean().item() > 0 else hidden)


class Branching(Layers):
    def forward(self, inputs):
        hidden = self.first(inputs)
        return self.last(F.relu(hidden) if hidden.mean() > 0 else hidden)


class Recurrent(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.lstm, self.last = nn.LSTM(1, 8, batch_first=True), nn.Linear(8, classes)

    def forward(self, inputs):
        outputs, _ = self.lstm(inputs[:, :, None])
        return self.last(outputs[:, -1])


class Counting(Layers):
    """Counts its calls in Python: lanes that began at other times would have to count differently."""

    def __init__(self, features, classes):
        super().__init__(features, classes)
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return self.last(F.relu(self.first(inputs))) * (1 + self.calls % 7)


class Remembering(Layers):
    """Keeps a running mean that isn't a buffer, in place: under vmap it would see all lanes."""

    def __init__(self, features, classes):
        super().__init__(features, classes)
        self.mean = torch.zeros(16)

    def forward(self, inputs):
        hidden = F.relu(self.first(inputs))
        self.mean = 0.9 * self.mean + hidden.detach().mean(0)
        return self.last(hidden - self.mean)


class Failing(Layers):
    def forward(self, inputs):
        raise RuntimeError("this never works")


class Mute(Exception):
    def __str__(self):
        raise self


class Muttering(Layers):
    def forward(self, inputs):
        try:
            float(inputs.sum())
        except RuntimeError:
            raise Mute from None
        return self.last(F.relu(self.first(inputs)))


class Unsteady(torch.autograd.Function):
    """Rounds by how many lanes there are, as some of torch's batched operations do."""

    @staticmethod
    def forward(inputs):
        return inputs.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad

    @staticmethod
    def vmap(info, in_dims, inputs):
        return Unsteady.apply(inputs * (1 + 1e-6 * info.batch_size)), in_dims[0]


class Weakened(Unsteady):
    """Computes something else where lanes are batched, by a wrong rule for it."""

    @staticmethod
    def vmap(info, in_dims, inputs):
        return Weakened.apply(inputs * 0.8), in_dims[0]


class Mistaken(Layers):
    def forward(self, inputs):
        return self.last(Weakened.apply(F.relu(self.first(inputs))))


class Rounding(Layers):
    def forward(self, inputs):
        return self.last(Unsteady.apply(F.relu(self.first(inputs))))


class Diverging(Layers):
    def forward(self, inputs):
        return self.last(F.relu(self.first(inputs))) * float("nan")


class Masked(Layers):
    """Adds an infinite mask to its scores, as attention does."""

    def __init__(self, features, classes):
        super().__init__(features, classes)
        self.register_buffer("mask", torch.tensor([0.0, *[-math.inf] * 15]))

    def forward(self, inputs):
        hidden = self.first(inputs)
        return self.last(hidden * F.softmax(hidden + self.mask, dim=-1))


class Untrained(nn.Module):
    """Has nothing to train, so it can't be trained alone either."""

    def __init__(self, features, classes):
        super().__init__()
        self.classes = classes

    def forward(self, inputs):
        return inputs[:, : self.classes]


# What can be fused


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_mlp_can_be_fused(batch_norm):
    assert Rehearsal("mlp", **MLP, batch_norm=batch_norm).choose() == Plan("fused", 4, "asked for")


def test_a_users_own_module_can_be_fused():
    class Plain(Layers):
        def forward(self, inputs):
            return self.last(F.relu(self.first(inputs)))

    assert Rehearsal(of(Plain)).choose().stack == "fused"


@pytest.mark.parametrize("kind", [Drawing, Noisy])
def test_a_forward_that_draws_random_numbers_is_looped_and_told_where(kind):
    found = Rehearsal(of(kind)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert "its forward draws random numbers by itself (" in found.reason
    assert "`nn.Dropout`" in found.reason


@pytest.mark.parametrize("kind", [Deciding, Branching], ids=["item", "if"])
def test_a_forward_that_decides_by_its_values_is_looped_and_told_why(kind):
    found = Rehearsal(of(kind)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert "torch can't batch it" in found.reason
    assert "test_plan.py:" in found.reason


def test_a_forward_whose_error_cannot_be_printed_is_looped_and_told_where():
    found = Rehearsal(of(Muttering)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert found.reason.startswith("torch can't batch it: Mute: <exception str() failed> (test_plan.py:")


def test_an_lstm_is_looped_with_a_reason():
    found = Rehearsal(of(Recurrent)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert found.reason.startswith("torch can't batch it")


@pytest.mark.parametrize("kind", [Counting, Remembering])
def test_a_forward_that_changes_the_module_itself_is_looped(kind):
    found = Rehearsal(of(kind)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert found.reason != "asked for"


def test_a_forward_that_comes_to_something_else_when_batched_is_looped_and_told_where():
    found = Rehearsal(of(Mistaken)).choose()
    assert (found.stack, found.lanes) == ("looped", 1)
    assert "comes out otherwise when fused" in found.reason


def test_a_network_that_fails_alone_too_is_not_called_unfusable():
    assert Rehearsal(of(Failing)).choose() == Plan("fused", 4, "asked for")


@pytest.mark.parametrize("kind", [Diverging, Masked])
def test_a_network_that_comes_to_no_numbers_or_has_infinite_ones_is_not_called_unfusable(kind):
    assert Rehearsal(of(kind)).choose() == Plan("fused", 4, "asked for")


def test_a_network_with_nothing_to_train_is_not_called_unfusable():
    assert "can't batch" not in Rehearsal(of(Untrained)).choose().reason


def test_memory_that_runs_out_in_the_rehearsal_does_not_make_a_network_unfusable(monkeypatch):
    def full(stack):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FusedStack, "_train", full)
    assert Rehearsal("mlp", **MLP).choose().stack == "fused"


def test_nothing_is_left_of_the_rehearsal():
    made = Rehearsal("mlp", **MLP)
    before, generator = made.build().state_dict(), torch.random.get_rng_state()
    made.choose(wanted="auto")
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.build().state_dict().items())


# What is wanted, and what is faster


def timed(monkeypatch, seconds):
    """Has stacks take so many seconds a step: `seconds(kind, network, lanes)`."""

    def taken(kind, bench, build, recipe, lanes):
        return seconds(kind, build(), lanes)

    monkeypatch.setattr(plan, "_seconds", taken)


def test_looped_is_taken_where_it_is_asked_for(monkeypatch):
    timed(monkeypatch, lambda kind, network, lanes: pytest.fail("it needn't be measured"))
    assert Rehearsal("mlp", **MLP).choose("looped") == Plan("looped", 1, "asked for")


@pytest.mark.parametrize("wanted", ["fused", "padded"])
def test_fused_is_taken_where_it_is_asked_for(wanted, monkeypatch):
    timed(monkeypatch, lambda kind, network, lanes: pytest.fail("it needn't be measured"))
    assert Rehearsal("mlp", **MLP).choose(wanted) == Plan("fused", 4, "asked for")


@pytest.mark.parametrize(("fused", "stack", "lanes"), [(0.004, "fused", 4), (0.04, "looped", 1)])
def test_the_faster_is_taken_where_nothing_is_asked_for(fused, stack, lanes, monkeypatch):
    timed(monkeypatch, lambda kind, network, lanes: fused if kind is FusedStack else 0.003)
    found = Rehearsal("mlp", **MLP).choose("auto")
    assert (found.stack, found.lanes) == (stack, lanes)
    assert f"{fused * 250:.2f} ms a lane and step fused with 4 lanes, 3.00 ms looped" in found.reason


def test_what_is_measured_are_steps_of_both_kinds(monkeypatch):
    kinds = []
    timed(monkeypatch, lambda kind, network, lanes: kinds.append((kind, lanes)) or 1.0)
    Rehearsal("mlp", **MLP).choose("auto", lanes=6)
    assert kinds == [(FusedStack, 6), (LoopedStack, 1)]


def test_a_step_takes_time():
    made = Rehearsal("mlp", **MLP)
    assert plan._seconds(FusedStack, plan._excerpt(made.bench, RECIPE), made.build, RECIPE, 2) > 0


def test_a_network_whose_digits_depend_on_its_neighbours_is_looped_unless_asked_for():
    made = Rehearsal(of(Rounding))
    found = made.choose("auto")
    assert (found.stack, found.lanes) == ("looped", 1)
    assert "last digits" in found.reason
    assert made.choose("fused").stack == "fused"


def test_a_chain_of_our_kernels_is_known_to_be_steady(monkeypatch):
    made = Rehearsal("mlp", **MLP, batch_norm=True)
    bench = plan._excerpt(made.bench, RECIPE)
    monkeypatch.setattr(FusedStack, "train_epoch", lambda stack: pytest.fail("it needn't be tried"))
    assert plan._steady(bench, made.build, RECIPE, 4)


# Padding


def choose_widths(wanted="auto", lanes=8, widths=2):
    made = Rehearsal("mlp", **MLP)
    narrowest, widest = partial(made.build, feature_maps=4), partial(made.build, feature_maps=16)
    return choose_padding(made.bench, narrowest, widest, RECIPE, lanes=lanes, widths=widths, wanted=wanted)


def test_padding_is_taken_where_it_is_asked_for(monkeypatch):
    timed(monkeypatch, lambda kind, network, lanes: pytest.fail("it needn't be measured"))
    assert choose_widths("padded") == Plan("padded", 8, "asked for")


def seconds_by_width(padded, narrow, wide):
    """Seconds of a step of the padded stack, of the narrowest and of the widest network's own."""
    return lambda kind, network, lanes: padded if lanes == 8 else narrow if network[1].out_features == 4 else wide


def test_widths_share_stacks_where_that_is_faster(monkeypatch):
    timed(monkeypatch, seconds_by_width(padded=0.010, narrow=0.006, wide=0.006))
    found = choose_widths()
    assert (found.stack, found.lanes) == ("padded", 8)
    assert "1.25 ms a lane and step padded, 1.50 ms apart" in found.reason


def test_widths_are_kept_apart_where_that_is_faster(monkeypatch):
    timed(monkeypatch, seconds_by_width(padded=0.020, narrow=0.002, wide=0.008))
    assert choose_widths().stack == "apart"


def test_each_width_has_at_least_one_lane_of_its_own(monkeypatch):
    measured = []
    timed(monkeypatch, lambda kind, network, lanes: measured.append((network[1].out_features, lanes)) or 1.0)
    choose_widths(lanes=2, widths=5)
    assert measured == [(4, 1), (16, 1), (16, 2)]
