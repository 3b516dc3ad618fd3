import numpy as np
from sklearn.datasets import load_digits

from leadline.trainers.data.readers.digits import read_digits


def test_the_digits_are_grey_images_of_ten_classes():
    data = read_digits()
    assert (data.name, data.inputs.shape, data.inputs.dtype) == ("digits", (1797, 1, 8, 8), np.float32)
    assert (data.inputs.min(), data.inputs.max()) == (0, 16)
    assert data.classes == tuple("0123456789")
    assert data.test == 0


def test_they_are_those_that_scikit_learn_loads():
    images, labels = load_digits(return_X_y=True)
    data = read_digits()
    assert np.array_equal(data.inputs.reshape(-1, 64), images)
    assert np.array_equal(data.targets, labels)
