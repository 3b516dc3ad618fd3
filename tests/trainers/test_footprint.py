import subprocess
import sys

import pytest
import torch
from contracts.stack import blobs
from torch import nn
from torch.nn import functional as F

import leadline as ll
from leadline.trainers.footprint import Examples, Footprint, footprint
from leadline.trainers.messages import Job
from leadline.trainers.recipe import Recipe
from leadline.trainers.sanity.cost import cost
from leadline.trainers.stack import Lane
from leadline.trainers.streams import Stream

IMAGES = Examples((1, 8, 8), 10, (), torch.int64, 1000)
SGD = Recipe(optimizer="sgd", batch_size=16)


def of(build, examples=IMAGES, recipe=SGD, autocast=None):
    return footprint(build, examples, recipe, F.cross_entropy, autocast)


def test_a_linear_layer_takes_two_flops_a_weight():
    found = of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    assert (found.parameters, found.flops) == (650, 2 * 64 * 10)


def test_a_convolution_takes_two_flops_a_weight_and_place():
    found = of(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10)))
    assert found.flops == 2 * 9 * 4 * 36 + 2 * 144 * 10


def test_memory_is_that_of_weights_gradients_state_and_what_is_kept_of_a_batch():
    found = of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    weights, state = 3 * 4 * 650, 4 * 650
    inputs, outputs, targets = 16 * 64 * 4, 16 * 10 * 4, 16 * 8
    assert found.memory - weights - state == pytest.approx(inputs + outputs + targets, abs=16)


@pytest.mark.parametrize(("optimizer", "tensors"), [("adamw", 2), ("rmsprop", 1)])
def test_an_optimizers_state_counts(optimizer, tensors):
    def memory(name):
        return of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), recipe=Recipe(optimizer=name)).memory

    assert memory(optimizer) - memory("sgd") == (tensors - 1) * 4 * 650


def test_memory_grows_with_the_batch_but_not_beyond_the_examples():
    def memory(batch, count):
        examples = Examples((1, 8, 8), 10, (), torch.int64, count)
        return of(lambda: ll.build("mlp", in_shape=(1, 8, 8), classes=10), examples, Recipe(batch_size=batch)).memory

    assert memory(64, 1000) > memory(32, 1000)
    assert memory(64, 32) == memory(32, 32) == memory(32, 1000)


def test_bfloat16_keeps_half_as_much_of_a_batch():
    def build():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))

    large = Recipe(batch_size=512)
    full, half = of(build, recipe=large), of(build, recipe=large, autocast=torch.bfloat16)
    kept = 5 * 4 * full.parameters
    assert half.memory - kept == pytest.approx((full.memory - kept) / 2 + 2 * full.parameters, rel=0.05)


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("mlp", {"depth": 3, "feature_maps": 64, "dropout": 0.2}),
        ("convnet", {"depth": 2, "feature_maps": 16}),
        ("resnet", {"depth": 18, "feature_maps": 8}),
        ("convnet", {"depth": 2, "feature_maps": 16, "optimizer": "sgd"}),
    ],
)
def test_it_is_what_a_training_is_measured_to_take(model, params):
    trainer = ll.Trainer(model, "digits", batch_size=32)
    bench, recipe, stream = (
        trainer.bench(Job(0, None, maximize=True, device="cpu")),
        trainer.recipe(params),
        Stream(0, 0),
    )
    measured = cost(lambda: trainer.network(Lane(0, params, recipe, stream), bench), bench, recipe, stream, seconds=0.0)
    found = trainer.footprint(params)
    assert found.parameters == measured.parameters
    assert found.memory == pytest.approx(measured.memory, rel=0.05)


def test_a_family_too_large_for_any_machine_is_told_without_being_built():
    trainer = ll.Trainer("mlp", "digits", batch_size=32)
    assert trainer.footprint({"depth": 40, "feature_maps": 200_000}).parameters > 1.5e12


class Looking(nn.Module):
    """Looks at its numbers, which the meta device hasn't got."""

    def __init__(self, inputs, classes):
        super().__init__()
        self.last = nn.Linear(inputs, classes)
        self.norm = float(self.last.weight.norm())

    def forward(self, inputs):
        return self.last(inputs / self.norm)


def test_a_network_that_looks_at_its_weights_is_built_in_earnest():
    before = torch.get_rng_state()
    trainer = ll.Trainer(lambda in_shape, classes: Looking(in_shape[0], classes), blobs(), batch_size=16)
    plain = ll.Trainer(lambda in_shape, classes: nn.Linear(in_shape[0], classes), blobs(), batch_size=16)
    found, like = trainer.footprint({}), plain.footprint({})
    assert (found.parameters, found.flops) == (like.parameters, like.flops)
    assert found.memory == pytest.approx(like.memory, rel=0.1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_looks_at_numbers_is_tried_in_earnest():
    def loss(outputs, targets):
        return F.cross_entropy(outputs, targets) * (2 if float(outputs.detach().sum()) > 1e9 else 1)

    trainer = ll.Trainer("mlp", blobs(), loss=loss)
    assert trainer.footprint({"depth": 1, "feature_maps": 8}).parameters == 6 * 8 + 8 + 8 * 3 + 3


def test_a_network_that_cant_run_is_told_with_its_configuration():
    def build(in_shape, classes, width):
        return nn.Sequential(nn.Linear(in_shape[0], width), nn.Linear(width + 1, classes))

    with pytest.raises(ll.SettingsError, match=r"building and running the network for \{'width': 3\} failed"):
        ll.Trainer(build, blobs()).footprint({"width": 3})


def test_footprints_are_remembered_by_structure_and_batch():
    built = []

    def build(in_shape, classes, width=4, dropout=0.0):
        built.append(width)
        return nn.Sequential(nn.Linear(in_shape[0], width), nn.Dropout(dropout), nn.Linear(width, classes))

    trainer = ll.Trainer(build, blobs())
    for params in ({"width": 4, "lr": 0.1}, {"width": 4, "lr": 0.2}, {"width": 5, "lr": 0.1}):
        trainer.footprint({**params, "dropout": 0.1})
    assert built == [4, 5]
    small, large = (trainer.footprint({"width": 4, "batch_size": size}) for size in (8, 16))
    assert small.memory < large.memory


def test_regressions_and_auxiliary_heads_have_footprints():
    inputs = torch.rand(60, 5)
    found = ll.Trainer("mlp", (inputs, inputs.sum(dim=1))).footprint({"depth": 1, "feature_maps": 8})
    assert found == Footprint(5 * 8 + 8 + 8 + 1, 2 * (5 * 8 + 8), found.memory)
    auxiliary = ll.Trainer("googlenet", "digits").footprint({"auxiliary": 0.3})
    assert auxiliary.parameters > ll.Trainer("googlenet", "digits").footprint({"auxiliary": 0.0}).parameters


def test_importing_it_loads_no_compiler():
    script = "import sys, leadline.trainers.trainer; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
