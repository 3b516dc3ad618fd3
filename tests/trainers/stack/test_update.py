"""An update: L1, clipping and the optimizer's step, with one value a lane."""

import numpy as np
import pytest
import torch
from torch import nn

from leadline.trainers.optimizers import LaneSGD
from leadline.trainers.recipe import Recipe
from leadline.trainers.schedules import learning_rates
from leadline.trainers.stack import Lane
from leadline.trainers.stack.rows import Rows
from leadline.trainers.stack.update import Update
from leadline.trainers.streams import Stream


def lane(epoch=1, **rates):
    return Lane(0, {}, Recipe(optimizer="sgd", **{"lr": 1.0, "momentum": 0.0, **rates}), Stream(0, 0), epoch=epoch)


def rows_with(*gradients, weights=None):
    """Rows of one 4 x 4 weight, with the gradients (16,) of each lane."""
    rows = Rows(nn.Linear(4, 4, bias=False), LaneSGD.state)
    rows.arrange([None] * len(gradients))
    with torch.no_grad():
        rows.weights[:, :16] = torch.zeros(16) if weights is None else weights
    rows.take([torch.stack(gradients).view(-1, 4, 4)])
    return rows


def steps_made(rows, *lanes, step=0, steps=1):
    """Returns what one step takes from each lane's weights, (K, 16)."""
    before = rows.weights.detach().clone()
    update = Update(LaneSGD(), rows, lanes, steps)
    update({name: column[step] for name, column in update.table.items()})
    return (before - rows.weights).detach()[:, :16]


ONES = torch.ones(16)


def test_a_step_is_at_each_lanes_own_rate():
    found = steps_made(rows_with(ONES, ONES), lane(lr=0.1), lane(lr=0.3))
    torch.testing.assert_close(found, torch.stack([0.1 * ONES, 0.3 * ONES]))


def test_l1_pulls_each_weight_to_zero_at_each_lanes_own_rate():
    weights = torch.linspace(-1, 1, 16)
    found = steps_made(rows_with(0 * ONES, 0 * ONES, weights=weights), lane(l1=0.1), lane())
    torch.testing.assert_close(found, torch.stack([0.1 * weights.sign(), 0 * ONES]))


def test_gradients_are_clipped_lane_by_lane_as_torch_clips_them():
    gradients = [number * torch.linspace(-1, 1, 16) for number in (1, 5, 5)]
    found = steps_made(rows_with(*gradients), lane(clip_norm=2.0), lane(clip_norm=2.0), lane())
    for number, norm in enumerate((2.0, 2.0, None)):
        parameter = nn.Parameter(torch.zeros(16))
        parameter.grad = gradients[number].clone()
        if norm is not None:
            nn.utils.clip_grad_norm_([parameter], norm)
        torch.testing.assert_close(found[number], parameter.grad)


def test_l1_counts_before_clipping():
    found = steps_made(rows_with(0 * ONES, weights=ONES), lane(l1=10.0, clip_norm=1.0))
    torch.testing.assert_close(found[0], ONES / 4)


@pytest.mark.parametrize("weights", [torch.zeros(16), torch.full((16,), 2.0)], ids=["zero", "not zero"])
def test_weight_decay_isnt_clipped(weights):
    found = steps_made(rows_with(0 * ONES, weights=weights), lane(weight_decay=0.5, clip_norm=0.01))
    torch.testing.assert_close(found[0], 0.5 * weights)


def test_a_lane_without_clipping_beside_one_with_it_takes_gradients_of_any_size():
    large = torch.full((16,), 1e20)  # whose squares overflow
    alone = steps_made(rows_with(large), lane(lr=1e-20))
    assert torch.equal(steps_made(rows_with(large, ONES), lane(lr=1e-20), lane(clip_norm=1.0))[:1], alone)


def test_a_lane_whose_gradients_are_no_numbers_leaves_the_others_alone():
    found = steps_made(rows_with(torch.nan * ONES, ONES), lane(clip_norm=1.0, l1=0.1), lane(clip_norm=1.0))
    torch.testing.assert_close(found[1], ONES / 4)


def test_each_step_of_an_epoch_has_its_own_learning_rate():
    recipe = {"schedule": "linear", "epochs": 2, "lr": 0.5}
    for epoch in (1, 2):
        rates = learning_rates(lane(**recipe).recipe, epoch, 4)
        taken = [
            float(steps_made(rows_with(ONES), lane(epoch, **recipe), step=step, steps=4)[0, 0]) for step in range(4)
        ]
        np.testing.assert_allclose(taken, rates, rtol=1e-6)
