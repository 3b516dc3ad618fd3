import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from leadline import SettingsError
from leadline.trainers.metrics import METRICS, metric_for

NAMES = {
    "classification": ["accuracy", "balanced_accuracy", "f1", "auc", "top5", "cross_entropy"],
    "regression": ["r2", "rmse", "mae"],
}
untimed = settings(deadline=None)


@st.composite
def told_classes(draw, fewest=2, most=8):
    """Outputs of few distinct values, so that many are equal, and targets that leave classes out."""
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(fewest, most))
    outputs = draw(arrays(np.float32, (rows, classes), elements=st.integers(-3, 3).map(float)))
    targets = draw(arrays(np.int64, rows, elements=st.integers(0, draw(st.integers(0, classes - 1)))))
    return torch.from_numpy(outputs), torch.from_numpy(targets)


def quietly(reference, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of absent classes
        return reference(*arguments, **options)


def area(targets, scores):
    return sklearn_metrics.roc_auc_score(targets, scores)


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


@untimed
@given(told_classes())
def test_the_metrics_of_told_classes_are_scikit_learns(case):
    outputs, targets = case
    told = outputs.argmax(1)
    assert METRICS["accuracy"](outputs, targets) == pytest.approx(sklearn_metrics.accuracy_score(targets, told))
    balanced = quietly(sklearn_metrics.balanced_accuracy_score, targets, told)
    assert METRICS["balanced_accuracy"](outputs, targets) == pytest.approx(balanced, rel=1e-12)
    f1 = sklearn_metrics.f1_score(targets, told, average="macro")
    assert METRICS["f1"](outputs, targets) == pytest.approx(f1, rel=1e-12)


@untimed
@given(told_classes(fewest=3, most=9))
def test_top5_is_scikit_learns_where_the_first_of_equals_counts_as_the_highest(case):
    outputs, targets = case
    classes = outputs.shape[1]
    # scikit-learn lets the last of equals win: it is told the classes from the last to the first
    expected = quietly(
        sklearn_metrics.top_k_accuracy_score, classes - 1 - targets, outputs.flip(1), k=5, labels=range(classes)
    )
    assert METRICS["top5"](outputs, targets) == pytest.approx(expected, rel=1e-12)
    if classes <= 5:
        assert expected == 1


@untimed
@given(told_classes(most=2))
def test_the_auc_of_two_classes_is_scikit_learns_of_the_second(case):
    outputs, targets = case
    value = METRICS["auc"](outputs, targets)
    if len(set(targets.tolist())) == 1:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(area(targets, outputs[:, 1] - outputs[:, 0]), rel=1e-12)


@untimed
@given(told_classes(fewest=3))
def test_the_auc_of_more_classes_is_scikit_learns_mean_over_those_that_have_rows(case):
    outputs, targets = case
    value, present = METRICS["auc"](outputs, targets), set(targets.tolist())
    if len(present) == 1:
        assert math.isnan(value)
    else:
        scores = outputs.double().log_softmax(1)
        expected = np.mean([area(targets == one, scores[:, one]) for one in present])
        assert value == pytest.approx(expected, rel=1e-12)


def test_the_auc_of_all_classes_present_is_scikit_learns_macro_one_vs_rest():
    outputs, targets = classified(500, classes=70)  # more than are ranked together
    softmax = outputs.double().softmax(1).numpy()
    expected = sklearn_metrics.roc_auc_score(targets, softmax, multi_class="ovr", average="macro")
    assert METRICS["auc"](outputs, targets) == pytest.approx(expected, rel=1e-12)


def test_a_network_that_is_very_sure_still_has_an_auc():
    outputs = torch.tensor([[0.0, 200.0], [0.0, 300.0], [200.0, 0.0], [300.0, 0.0]])  # whose softmax is 0 and 1
    assert METRICS["auc"](outputs, torch.tensor([0, 1, 1, 0])) == 0.75


@untimed
@given(
    st.integers(2, 30).flatmap(
        lambda rows: st.tuples(*[arrays(np.float32, (rows, 1), elements=st.integers(-2, 2).map(float))] * 2)
    )
)
def test_r2_is_scikit_learns_for_equal_targets_too(case):
    outputs, targets = case
    value = METRICS["r2"](torch.from_numpy(outputs), torch.from_numpy(targets))
    assert value == pytest.approx(sklearn_metrics.r2_score(targets.astype(float), outputs.astype(float)), abs=1e-12)


def test_equal_targets_that_are_no_round_numbers_are_equal():
    targets = torch.full((7, 1), 0.1, dtype=torch.float64)
    assert METRICS["r2"](targets, targets) == 1
    assert METRICS["r2"](targets + 1, targets) == 0


def test_a_single_row_has_every_metric_but_those_that_compare_rows():
    outputs, targets = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]), torch.tensor([5])
    for name in NAMES["classification"]:
        assert math.isnan(METRICS[name](outputs, targets)) == (name == "auc")
    for name in NAMES["regression"]:
        assert math.isnan(METRICS[name](outputs[:, :1], targets[:, None].float())) == (name == "r2")


@pytest.mark.parametrize("name", METRICS)
def test_a_nan_among_the_outputs_makes_every_metric_nan(name):
    outputs, targets = classified(classes=8) if METRICS[name].task == "classification" else measured()
    outputs[3, 0] = torch.nan
    assert math.isnan(METRICS[name](outputs, targets))
    assert math.isnan(METRICS[name](torch.full_like(outputs, torch.nan), targets))


def test_a_nan_is_no_match_for_equal_targets():
    assert math.isnan(METRICS["r2"](torch.tensor([[1.0], [torch.nan]]), torch.ones(2, 1)))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_computed_in_float64_and_leave_their_arguments_alone(name):
    outputs, targets = classified(classes=8) if METRICS[name].task == "classification" else measured()
    outputs, before = outputs.bfloat16(), outputs.bfloat16()
    value = METRICS[name].function(outputs, targets)
    assert value.dtype == torch.float64
    assert float(value) == METRICS[name](outputs.double(), targets)
    assert torch.equal(outputs, before)


def test_targets_of_a_regression_may_be_a_row_of_numbers():
    outputs, targets = measured()
    for name in NAMES["regression"]:
        assert METRICS[name](outputs, targets[:, 0]) == METRICS[name](outputs, targets)


def test_metrics_know_whether_more_is_better():
    assert {name for name, metric in METRICS.items() if metric.maximize is False} == {"cross_entropy", "rmse", "mae"}
    assert all(metric.maximize is not None for metric in METRICS.values())


@pytest.mark.parametrize("task", NAMES)
def test_a_tasks_own_metric_is_its_first(task):
    assert [name for name, metric in METRICS.items() if metric.task == task] == NAMES[task]
    assert metric_for(None, task).name == NAMES[task][0]


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
