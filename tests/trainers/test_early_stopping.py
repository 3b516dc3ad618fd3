from hypothesis import given
from hypothesis import strategies as st

from leadline.trainers.early_stopping import EarlyStopping

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def fed(values, maximize=True, patience=None):
    stopping = EarlyStopping(maximize=maximize, patience=patience)
    for epoch, value in enumerate(values, start=1):
        stopping.update(epoch, value)
    return stopping


@given(VALUES)
def test_the_best_epoch_is_the_earliest_of_the_highest(values):
    stopping = fed(values)
    assert stopping.best == max(values)
    assert stopping.best_epoch == values.index(max(values)) + 1


@given(VALUES)
def test_the_best_epoch_is_the_earliest_of_the_lowest_where_less_is_better(values):
    stopping = fed(values, maximize=False)
    assert stopping.best == min(values)
    assert stopping.best_epoch == values.index(min(values)) + 1


@given(VALUES, st.integers(1, 5))
def test_patience_is_used_up_after_so_many_epochs_without_a_better_one(values, patience):
    stopping = fed(values, patience=patience)
    assert stopping.exhausted == (len(values) - (values.index(max(values)) + 1) >= patience)


@given(VALUES)
def test_without_patience_it_is_never_used_up(values):
    assert not fed(values).exhausted


def test_the_first_value_is_the_best_and_a_tie_is_no_improvement():
    stopping = EarlyStopping(maximize=True, patience=1)
    assert not stopping.exhausted
    assert stopping.update(1, 0.5)
    assert not stopping.update(2, 0.5)
    assert stopping.exhausted
