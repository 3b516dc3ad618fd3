import gzip
import struct

import numpy as np
import pytest

from leadline.errors import DataError
from leadline.trainers.data.readers.idx import read_idx, read_idx_folder

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_pair(folder, part, images, labels, end=""):
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        content = idx_bytes(np.asarray(array, dtype=np.uint8))
        (folder / (name + end)).write_bytes(gzip.compress(content) if end else content)


def images(n, side=3):
    return np.arange(n * side * side, dtype=np.uint8).reshape(n, side, side)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_folder_gives_the_training_rows_then_its_test_set(tmp_path, end):
    write_pair(tmp_path, "train", images(4), [0, 1, 0, 1], end)
    write_pair(tmp_path, "t10k", images(2) + 100, [1, 0], end)
    data = read_idx_folder(tmp_path)
    assert (data.inputs.shape, data.inputs.dtype, data.test) == ((6, 3, 3), np.uint8, 2)
    assert data.inputs[4, 0, 0] == 100
    assert data.targets.tolist() == [0, 1, 0, 1, 1, 0]
    assert (data.name, data.classes) == (tmp_path.name, ("0", "1"))


def test_a_folder_may_lack_a_test_set(tmp_path):
    write_pair(tmp_path, "train", images(2), [0, 1])
    assert read_idx_folder(tmp_path).test == 0


def test_names_with_a_dot_are_found_too(tmp_path):
    write_pair(tmp_path, "train", images(2), [0, 1])
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert len(read_idx_folder(tmp_path)) == 2


@pytest.mark.parametrize("code", CODES)
def test_every_type_is_read_in_native_order(tmp_path, code):
    array = np.array([[1, 2, 3], [4, 5, 100]], dtype=code)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    read = read_idx(tmp_path / "a")
    assert read.dtype == array.dtype
    assert read.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with 00 00"),
        (b"\x89PNG\r\n", "but got 89 50 4e 47"),
        (struct.pack(">HBB", 0, 0x07, 1), "but got 00 00 07 01"),
        (struct.pack(">HBBI", 0, 0x08, 3, 10), "ends within its header of 16 bytes, after 8"),
        (struct.pack(">HBBI", 0, 0x08, 1, 5) + b"1234", r"says \(5,\), that is 13 bytes, but the file has 12"),
        (struct.pack(">HBBI", 0, 0x08, 1, 3) + b"1234", r"says \(3,\), that is 11 bytes, but the file has 12"),
        (struct.pack(">HBB4I", 0, 0x0E, 4, *[2**32 - 1] * 4), "but the file has 20"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_damaged_file_is_refused_by_name_before_anything_of_its_claimed_size_exists(tmp_path, content, message, end):
    path = tmp_path / f"broken-idx{end}"
    path.write_bytes(gzip.compress(content) if end else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"no" + content])
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "broken.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(images(2)))))
    with pytest.raises(DataError, match=r"broken\.gz: the gzip file is damaged"):
        read_idx(path)


def test_a_missing_file_is_named(tmp_path):
    write_pair(tmp_path, "train", images(2), [0, 1])
    write_pair(tmp_path, "t10k", images(2), [0, 1])
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has no file `t10k-labels-idx1-ubyte` or"):
        read_idx_folder(tmp_path)


def test_images_and_labels_must_match(tmp_path):
    write_pair(tmp_path, "train", images(3), [0, 1])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is of shape \(3, 3, 3\) and .* of shape \(2,\)"):
        read_idx_folder(tmp_path)


def test_training_and_test_images_must_be_of_one_shape(tmp_path):
    write_pair(tmp_path, "train", images(2), [0, 1])
    write_pair(tmp_path, "t10k", images(2, side=4), [0, 1])
    with pytest.raises(DataError, match=r"got \(3, 3\) and \(4, 4\)"):
        read_idx_folder(tmp_path)
