import numpy as np
import pandas
import pytest

from leadline.search.analysis.mistakes import Mistakes
from leadline.search.predictions import Predictions
from leadline.trainers.data import load


def mistakes(inputs, targets, outputs, classes=("cat", "dog")):
    data = load((inputs, targets))
    outputs = np.asarray(outputs, dtype=np.float32)
    kept = Predictions(np.arange(len(targets)), outputs, np.asarray(targets), classes)
    if classes is None:
        badness = np.abs(outputs[:, 0] - targets)
    else:
        badness = 1 - np.take_along_axis(kept.probabilities, np.asarray(targets)[:, None], axis=1)[:, 0]
    return Mistakes(kept, data, np.argsort(-badness, kind="stable"))


IMAGES = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
OUTPUTS = [[3, 0], [0, 3], [2, 0], [0, 1]]  # cat, dog, cat, dog


def test_confusions_are_counted_by_true_class_and_what_it_was_taken_for():
    found = mistakes(IMAGES, [0, 0, 1, 1], OUTPUTS)
    assert found.counts.tolist() == [[1, 1], [1, 1]]
    assert list(found.mixed_up()) == [("cat", "dog", 1, 2), ("dog", "cat", 1, 2)]


def test_the_worst_are_those_whose_true_class_was_held_least_probable():
    found = mistakes(IMAGES, [0, 0, 1, 1], OUTPUTS)
    assert found.worst.tolist() == [1, 2, 3, 0]
    images, titles = found.pictures()
    assert titles == ["cat → dog\n95 % sure", "dog → cat\n88 % sure"]
    assert images[0].shape == (6, 5)
    assert (images[0].min(), images[0].max()) == (0, 1)


def test_only_what_is_wrong_is_shown_where_anything_is_and_else_what_is_least_sure():
    some, none = (mistakes(IMAGES, targets, OUTPUTS) for targets in ([0, 1, 0, 0], [0, 1, 0, 1]))
    assert [row[0] for row in some.rows()[1]] == ["3"]
    assert some.pictures()[1] == ["cat → dog\n73 % sure"]
    assert [row[0] for row in none.rows()[1]] == ["3", "2", "0", "1"]


def test_pictures_in_colour_have_their_channels_last():
    found = mistakes(np.zeros((4, 3, 8, 8), dtype=np.uint8), [0, 0, 1, 1], OUTPUTS)
    images, _ = found.pictures()
    assert found.images
    assert images[0].shape == (8, 8, 3)


@pytest.mark.parametrize("shape", [(4, 7), (4, 2, 8, 8)])
def test_what_is_no_picture_isnt_drawn(shape):
    assert not mistakes(np.zeros(shape, dtype=np.float32), [0, 0, 1, 1], OUTPUTS).images


def test_rows_of_a_table_are_shown_with_their_columns():
    table = pandas.DataFrame({"age": [30, 41, 38, 22], "job": ["clerk", "<b>", None, "smith"]})
    header, rows = mistakes(table, [0, 0, 1, 1], OUTPUTS).rows()
    assert header == ("row", "true", "taken for", "sure", "age", "job")
    assert rows[0] == ("1", "cat", "dog", "95 %", "41", "<b>")
    assert "" in [row[-1] for row in rows]  # the gap


def test_rows_of_a_regression_are_shown_with_how_far_they_are_off():
    found = mistakes(np.zeros((3, 2), np.float32), np.float32([0.5, 1.5, 2.25]), [[0.5], [3.0], [2.0]], classes=None)
    header, rows = found.rows()
    assert header[:4] == ("row", "true", "predicted", "off by")
    assert [row[:4] for row in rows] == [
        ("1", "1.5", "3", "+1.5"),
        ("2", "2.25", "2", "-0.25"),
        ("0", "0.5", "0.5", "+0"),
    ]
