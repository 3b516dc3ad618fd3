import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from leadline import SettingsError
from leadline.trainers.metrics import METRICS, metric_for


def classified(n=200, classes=5):
    rng = np.random.default_rng(0)
    return torch.tensor(rng.normal(size=(n, classes)), dtype=torch.float32), torch.tensor(rng.integers(classes, size=n))


def measured(n=200):
    rng = np.random.default_rng(0)
    targets = rng.normal(3, 2, size=(n, 1))
    return tuple(torch.tensor(values, dtype=torch.float32) for values in (targets + rng.normal(size=(n, 1)), targets))


def test_accuracy_is_scikit_learns():
    outputs, targets = classified()
    expected = sklearn_metrics.accuracy_score(targets, outputs.argmax(1))
    assert METRICS["accuracy"](outputs, targets) == expected


def test_cross_entropy_is_scikit_learns_log_loss():
    outputs, targets = classified()
    expected = sklearn_metrics.log_loss(targets, outputs.double().softmax(1).numpy())
    assert METRICS["cross_entropy"](outputs, targets) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("r2", sklearn_metrics.r2_score),
        ("rmse", sklearn_metrics.root_mean_squared_error),
        ("mae", sklearn_metrics.mean_absolute_error),
    ],
)
def test_the_metrics_of_a_regression_are_scikit_learns(name, reference):
    outputs, targets = measured()
    assert METRICS[name](outputs, targets) == pytest.approx(reference(targets.double(), outputs.double()), rel=1e-12)


def test_metrics_know_whether_more_is_better():
    assert {name for name, metric in METRICS.items() if metric.maximize} == {"accuracy", "r2"}
    assert {name for name, metric in METRICS.items() if metric.maximize is False} == {"cross_entropy", "rmse", "mae"}


def test_none_is_the_tasks_own_metric():
    assert metric_for(None, "classification").name == "accuracy"
    assert metric_for(None, "regression").name == "r2"


def test_a_function_is_a_metric_by_its_name_and_only_its_user_knows_which_way():
    def hits(outputs, targets):
        return torch.tensor(3)

    metric = metric_for(hits, "classification")
    assert (metric.name, metric.maximize) == ("hits", None)
    value = metric(torch.zeros(1, 2), torch.zeros(1))
    assert (value, type(value)) == (3.0, float)
    assert metric_for(lambda outputs, targets: 0, "regression").name == "lambda"


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acuracy", "classification", r"no metric is called `acuracy`. Did you mean `accuracy`\?"),
        ("r2", "classification", r"`r2` is a metric for regression, but this is classification; .*accuracy"),
        ("accuracy", "regression", r"`accuracy` is a metric for classification, but this is regression; .*rmse"),
    ],
)
def test_a_metric_that_isnt_there_or_doesnt_fit_is_refused(name, task, message):
    with pytest.raises(SettingsError, match=message):
        metric_for(name, task)
