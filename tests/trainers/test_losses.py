import pytest
import torch
from torch import nn

from leadline import SettingsError
from leadline.trainers.losses import LOSSES, l1_norm, loss_for


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


def test_the_l1_norm_counts_weights_but_no_biases_and_no_scales():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    expected = network[0].weight.abs().sum() + network[3].weight.abs().sum()
    assert torch.allclose(l1_norm(network.parameters()), expected)


def test_a_network_without_weights_of_two_dimensions_has_no_l1_norm_to_pay():
    assert float(l1_norm(nn.BatchNorm1d(3).parameters())) == 0
