import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from leadline.errors import DataError
from leadline.trainers.data import load
from leadline.trainers.data.readers.npy import stored
from leadline.trainers.data.readers.npz import read_npz
from leadline.trainers.data.readers.pairs import channels_first, find_pairs

IMAGES = np.arange(8 * 3 * 4 * 5, dtype=np.uint8).reshape(8, 3, 4, 5)
LABELS = np.array([0, 1] * 4)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("X", "Y"), ("images", "labels"), ("inputs", "targets"), ("data", "target")]
)
def test_inputs_and_targets_are_found_by_their_names(tmp_path, write, x, y):
    write(tmp_path / "mine.npz", **{x: IMAGES, y: LABELS, "else": np.array("a note")})
    data = load(tmp_path / "mine.npz")
    assert np.array_equal(data.inputs, IMAGES)
    assert (data.name, data.inputs.dtype, data.targets.tolist(), data.test) == ("mine", np.uint8, LABELS.tolist(), 0)


@pytest.mark.parametrize("form", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"])
def test_a_test_set_comes_last(tmp_path, form):
    names = form.split()
    np.savez(tmp_path / "m.npz", **dict(zip(names, (IMAGES, LABELS, IMAGES[:2] + 1, LABELS[:2]), strict=True)))
    data = read_npz(tmp_path / "m.npz")
    assert (len(data), data.test) == (10, 2)
    assert np.array_equal(data.inputs, np.concatenate([IMAGES, IMAGES[:2] + 1]))


def test_validation_rows_are_among_those_to_split(tmp_path):
    parts = {"train": 4, "val": 2, "test": 2}
    named = {f"{part}_images": IMAGES[:n] for part, n in parts.items()}
    np.savez(tmp_path / "m.npz", **named, **{f"{part}_labels": LABELS[:n, None] for part, n in parts.items()})
    data = read_npz(tmp_path / "m.npz")
    assert (len(data), data.test) == (8, 2)


@pytest.mark.parametrize("labels", [LABELS.astype("U5"), LABELS.astype(bool), LABELS.astype(">i2"), LABELS[:, None]])
def test_labels_may_be_text_or_of_any_type(tmp_path, labels):
    np.savez(tmp_path / "m.npz", x=IMAGES, y=labels)
    assert read_npz(tmp_path / "m.npz").targets.tolist() == LABELS.tolist()


def test_images_with_channels_last_are_turned():
    assert channels_first(np.zeros((2, 8, 9, 3))).shape == (2, 3, 8, 9)
    assert channels_first(np.zeros((2, 3, 9, 3))).shape == (2, 3, 9, 3)
    assert channels_first(np.zeros((2, 8, 9))).shape == (2, 8, 9)


def test_a_folder_of_npy_files_is_mapped_and_not_read(tmp_path):
    np.save(tmp_path / "inputs.npy", np.asfortranarray(IMAGES))
    np.save(tmp_path / "targets.npy", LABELS)
    data = load(tmp_path)
    assert np.array_equal(data.inputs, IMAGES)
    mapped = data.inputs
    while not isinstance(mapped, np.memmap):
        mapped = mapped.base
    assert (data.name, mapped.flags.writeable) == (tmp_path.name, False)


def test_parts_in_several_npy_files_are_joined_in_the_cache(tmp_path, cache):
    for name, array in (("x_train", IMAGES), ("y_train", LABELS), ("x_test", IMAGES[:2]), ("y_test", LABELS[:2])):
        np.save(tmp_path / f"{name}.npy", array)
    first, again = load(tmp_path), load(tmp_path)
    assert np.array_equal(first.inputs, np.concatenate([IMAGES, IMAGES[:2]]))
    assert (first.test, first.digest == again.digest, len(list(cache.iterdir()))) == (2, True, 1)


@given(
    arrays(
        st.sampled_from([np.uint8, np.int32, np.float16, np.dtype(">f8"), np.bool_, np.dtype("<U3")]),
        array_shapes(max_dims=4),
    ),
    st.booleans(),
)
def test_what_numpy_writes_is_read_back(array, fortran):
    array = np.asfortranarray(array) if fortran else array
    buffer = io.BytesIO()
    np.save(buffer, array)
    found = stored("it", buffer.tell(), lambda: io.BytesIO(buffer.getvalue()))
    read = np.empty(found.shape, found.dtype)
    found.read_into(read)
    assert (read.dtype, read.tobytes()) == (array.dtype, array.tobytes("C"))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_header_with_any_byte_changed_is_read_or_refused(place, byte):
    content = bytearray(npy(np.arange(6.0).reshape(2, 3)))
    content[place % len(content)] = byte
    try:
        found = stored("it", len(content), lambda: io.BytesIO(bytes(content)))
        found.read_into(np.empty(found.shape, found.dtype))
    except DataError as error:
        message = str(error)
    else:
        return
    assert message.startswith("it")


@settings(deadline=None)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused(tmp_path_factory, data):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=IMAGES, y=LABELS)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        load(path)
    except DataError as error:
        message = str(error)
    else:
        return
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"a": IMAGES, "b": LABELS}, r"must be called inputs/targets, .*, but there are: a, b\."),
        ({}, "but there are: none"),
        ({"x": IMAGES, "y": LABELS[1:]}, r"x\.npy is of shape \(8, 3, 4, 5\) and .*y\.npy of shape \(7,\)"),
        (
            {"x": IMAGES, "y": np.eye(8)},
            r"Targets must be of shape \(n,\) or \(n, 1\), but got .*y\.npy of shape \(8, 8\)",
        ),
        ({"x": LABELS, "y": LABELS}, r"m\.npz: Inputs must be of shape \(n, ...\)"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :2], "y_test": LABELS},
            r"must be alike, but .*x_train.npy holds uint8 of shape \(8, 3, 4, 5\) and .*x_test",
        ),
        ({"x": np.zeros(4, dtype="i4,f8"), "y": LABELS[:4]}, "not that of a plain array of numbers"),
        ({"x": IMAGES * 1j, "y": LABELS}, "not that of a plain array of numbers"),
        ({"x": np.float32(1.0), "y": np.int64(1)}, r"x\.npy is a single number"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, r"x\.npy: the header says uint8 of shape \(0, 3, 4, 5\)"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused_with_their_reason(tmp_path, named, message):
    np.savez(tmp_path / "m.npz", **named)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "m.npz")


def test_one_npy_file_alone_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=r"x\.npy: one array isn't inputs and targets\. Put `inputs\.npy` and"):
        load(tmp_path / "x.npy")


def test_a_pair_given_whole_wins_over_parts():
    names = dict.fromkeys(["x", "y", "x_test", "y_test", "y_val"])
    assert find_pairs(names, "it").learn == (("x", "y"),)


def test_python_2_wrote_long_numbers(tmp_path):
    content = npy(np.arange(6.0).reshape(2, 3)).replace(b"(2, 3), }  ", b"(2L, 3L), }")
    (tmp_path / "inputs.npy").write_bytes(content)
    np.save(tmp_path / "targets.npy", np.array([0.5, 1.5]))
    assert load(tmp_path).inputs.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_archive_of_version_3_headers_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x03\x00" + bytes(100))
        archive.writestr("y.npy", npy(LABELS))
    with pytest.raises(DataError, match=r"x\.npy: an \.npy file of version 1 or 2 starts so, but got 93 4e"):
        read_npz(tmp_path / "m.npz")
