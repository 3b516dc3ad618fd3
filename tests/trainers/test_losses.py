from functools import partial

import pytest
import torch
from torch.nn import functional as F

from leadline import SettingsError
from leadline.trainers.losses import LOSSES, combined, lane_losses, loss_for


def test_none_is_the_tasks_own_loss():
    assert loss_for(None, "classification") is loss_for("cross_entropy", "classification")
    assert loss_for(None, "regression") is loss_for("squared", "regression")


def test_a_function_is_its_own_loss():
    def mine(outputs, targets):
        return (outputs - targets).abs().mean()

    assert loss_for(mine, "regression") is mine


def test_cross_entropy_is_the_mean_negative_log_likelihood():
    outputs, targets = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]]), torch.tensor([1, 2])
    expected = -torch.log_softmax(outputs.double(), 1)[[0, 1], targets].mean()
    assert float(loss_for(None, "classification")(outputs, targets)) == pytest.approx(float(expected))


def test_squared_is_the_mean_square():
    outputs, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]])
    assert float(loss_for(None, "regression")(outputs, targets)) == 2.5


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("cross_entrop", "classification", r"no loss is called `cross_entrop`. Did you mean `cross_entropy`\?"),
        (
            "squared",
            "classification",
            r"`squared` is a loss for regression, but this is classification; .*cross_entropy",
        ),
        (
            "cross_entropy",
            "regression",
            r"`cross_entropy` is a loss for classification, but this is regression; .*squared",
        ),
    ],
)
def test_a_loss_that_isnt_there_or_doesnt_fit_is_refused(name, task, message):
    with pytest.raises(SettingsError, match=message):
        loss_for(name, task)


def test_every_task_has_a_loss():
    assert {task for _, task in LOSSES.values()} == {"classification", "regression"}


# Of lanes at once


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def classified(lanes=4, batch=6, classes=5, dtype=torch.float64):
    """Returns outputs (K, B, classes) and targets (K, B)."""
    generator = torch.Generator().manual_seed(1)
    return 3 * normal(lanes, batch, classes, dtype=dtype), torch.randint(classes, (lanes, batch), generator=generator)


def assert_agreement(loss, outputs, targets, smoothing=None, weight=None):
    """Asserts that losses and gradients are those of each lane alone."""
    outputs.requires_grad_()
    options = {"label_smoothing": smoothing, "weight": weight}
    options = {name: values for name, values in options.items() if values is not None}
    found = lane_losses(loss, outputs, targets, options)
    (gradients,) = torch.autograd.grad(found.sum(), outputs)
    assert found.shape == (len(outputs),)
    for lane in range(len(outputs)):
        alone = outputs[lane].detach().requires_grad_()
        own = {name: values[lane] for name, values in options.items()}
        if smoothing is not None:
            own["label_smoothing"] = float(smoothing[lane])
        expected = loss(alone, targets[lane], **own)
        (gradient,) = torch.autograd.grad(expected, alone)
        torch.testing.assert_close(found[lane], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradients[lane], gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("smoothing", [None, [0.0, 0.1, 0.5, 0.9], [0.0, 0.0, 0.0, 0.0]], ids=str)
@pytest.mark.parametrize("classes", [2, 5, 100])
def test_cross_entropy_is_each_lanes_own_with_its_own_smoothing(classes, smoothing):
    smoothing = None if smoothing is None else torch.tensor(smoothing, dtype=torch.float64)
    assert_agreement(F.cross_entropy, *classified(classes=classes), smoothing)


@pytest.mark.parametrize("smoothing", [None, [0.0, 0.1, 0.5, 0.9]], ids=str)
def test_cross_entropy_is_each_lanes_own_with_its_own_class_weights(smoothing):
    smoothing = None if smoothing is None else torch.tensor(smoothing, dtype=torch.float64)
    assert_agreement(F.cross_entropy, *classified(), smoothing, weight=normal(4, 5).abs())


def test_absolute_and_huber_losses_are_each_lanes_own():
    for loss in (F.l1_loss, F.huber_loss):
        assert_agreement(loss, 3 * normal(3, 6, 1), normal(3, 6, 1, seed=1))


def test_losses_of_auxiliary_heads_are_added_by_their_weight():
    outputs, targets = classified()
    heads = (outputs, outputs + 1, 2 * outputs)
    found = combined(partial(lane_losses, F.cross_entropy, options={}), heads, targets, None, 0.3)
    each = [lane_losses(F.cross_entropy, head, targets, {}) for head in heads]
    torch.testing.assert_close(found, each[0] + 0.3 * (each[1] + each[2]))


def test_where_examples_are_mixed_so_are_their_losses():
    outputs, targets = classified()
    others, shares = targets.roll(-1, dims=1), torch.tensor([1.0, 0.7, 0.5, 0.0], dtype=torch.float64)
    one = partial(lane_losses, F.cross_entropy, options={})
    found = combined(one, outputs, targets, (others, shares), 0.3)
    assert found[0] == one(outputs, targets)[0]
    assert found[3] == one(outputs, others)[3]
    torch.testing.assert_close(found[1], 0.7 * one(outputs, targets)[1] + 0.3 * one(outputs, others)[1])


def test_cross_entropy_of_outputs_of_any_size_is_finite():
    outputs, targets = classified(dtype=torch.float32)
    found = lane_losses(
        F.cross_entropy, outputs * 1e4, targets, {"label_smoothing": torch.tensor([0.0, 0.1, 0.5, 0.9])}
    )
    assert found.isfinite().all()


def test_smoothing_in_one_lane_leaves_the_bits_of_the_others():
    outputs, targets = classified(dtype=torch.float32)
    plain = lane_losses(F.cross_entropy, outputs, targets, {})
    beside = lane_losses(F.cross_entropy, outputs, targets, {"label_smoothing": torch.tensor([0.0, 0.3, 0.0, 0.0])})
    assert torch.equal(plain[[0, 2, 3]], beside[[0, 2, 3]])
    assert plain[1] != beside[1]


def test_the_mean_square_is_each_lanes_own():
    assert_agreement(F.mse_loss, normal(3, 6, 1), normal(3, 6, 1, seed=1))


def test_a_loss_of_the_users_is_each_lanes_own():
    def hinge(outputs, targets):
        return (outputs - outputs.gather(1, targets[:, None]) + 1).clamp(min=0).mean()

    assert_agreement(hinge, *classified())


def test_a_loss_of_the_users_may_take_label_smoothing():
    def smoothed(outputs, targets, label_smoothing=0.0):
        likelihoods = F.log_softmax(outputs, dim=1)
        own = likelihoods.gather(1, targets[:, None])
        return -(1 - label_smoothing) * own.mean() - label_smoothing * likelihoods.mean()

    assert_agreement(smoothed, *classified(), torch.tensor([0.0, 0.1, 0.5, 0.9], dtype=torch.float64))
    assert_agreement(smoothed, *classified())


def test_cross_entropy_of_maps_is_each_lanes_own():
    generator = torch.Generator().manual_seed(1)
    assert_agreement(F.cross_entropy, normal(3, 2, 5, 4), torch.randint(5, (3, 2, 4), generator=generator))


def test_a_loss_of_the_users_that_draws_random_numbers_is_refused():
    def noisy(outputs, targets):
        return F.cross_entropy(outputs + torch.rand_like(outputs), targets)

    with pytest.raises(RuntimeError, match="random"):
        lane_losses(noisy, *classified(), {})


def test_a_lane_whose_outputs_are_no_numbers_leaves_the_others_alone():
    outputs, targets = classified(dtype=torch.float32)
    broken = outputs.clone()
    broken[1] = torch.nan
    for loss, smoothing in ((F.cross_entropy, None), (F.cross_entropy, torch.full((4,), 0.1))):
        options = {} if smoothing is None else {"label_smoothing": smoothing}
        found, expected = (lane_losses(loss, some, targets, options) for some in (broken, outputs))
        assert torch.equal(found[[0, 2, 3]], expected[[0, 2, 3]])
        assert found[1].isnan()
