import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadline.errors import DataError
from leadline.trainers.data import load
from leadline.trainers.data.readers.unpickle import unpickle

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (14, 3072), dtype=np.uint8)
TEN = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]
NAMES = ["bird", "cat", "deer"]


def python_2(value):
    """The bytes that Python 2's pickle wrote for a dict of arrays, lists and text: protocol 2, all text as bytes."""
    out = io.BytesIO()
    out.write(b"\x80\x02")

    def text(word):
        word = word if isinstance(word, bytes) else word.encode()
        out.write(b"T" + len(word).to_bytes(4, "little") + word)

    def write(one):
        if isinstance(one, dict):
            out.write(b"}(")
            for key, item in one.items():
                text(key)
                write(item)
            out.write(b"u")
        elif isinstance(one, list):
            out.write(b"](")
            for item in one:
                write(item)
            out.write(b"e")
        elif isinstance(one, np.ndarray):
            out.write(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(")
            write(list(one.shape))
            out.seek(-1, 1)
            out.write(b"e0")  # the list's values are popped: the shape is a tuple
            for side in one.shape:
                write(side)
            out.write(
                b"tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            )
            text(one.tobytes())
            out.write(b"tb")
        elif isinstance(one, int):
            out.write(b"J" + one.to_bytes(4, "little", signed=True))
        else:
            text(one)

    write(value)
    out.write(b".")
    return out.getvalue()


def python_3(value):
    return pickle.dumps(value, protocol=2)


def files_of(kind, write=python_2):
    """The files of a version of CIFAR with 14 images, the last 4 for test."""
    labels = np.array(TEN, dtype=np.uint8)[:, None]
    parts = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8), slice(8, 10)]
    if kind == "cifar-10-batches-py":
        batches = {f"data_batch_{n + 1}": part for n, part in enumerate(parts)} | {"test_batch": slice(10, 14)}
        made = {name: write({"data": PIXELS[rows], "labels": TEN[rows]}) for name, rows in batches.items()}
        return made | {"batches.meta": write({"label_names": NAMES})}
    if kind == "cifar-10-batches-bin":
        batches = {f"data_batch_{n + 1}.bin": part for n, part in enumerate(parts)} | {"test_batch.bin": slice(10, 14)}
        made = {name: np.hstack([labels, PIXELS])[rows].tobytes() for name, rows in batches.items()}
        return made | {"batches.meta.txt": "\n".join([*NAMES, ""]).encode()}
    batches = {"train": slice(0, 10), "test": slice(10, 14)}
    if kind == "cifar-100-python":
        made = {
            name: write({"data": PIXELS[rows], "fine_labels": TEN[rows], "coarse_labels": [0] * len(TEN[rows])})
            for name, rows in batches.items()
        }
        return made | {"meta": write({"fine_label_names": NAMES, "coarse_label_names": ["animal"]})}
    made = {f"{name}.bin": np.hstack([labels * 0, labels, PIXELS])[rows].tobytes() for name, rows in batches.items()}
    return made | {"fine_label_names.txt": "\n".join(NAMES).encode(), "coarse_label_names.txt": b"animal\n"}


KINDS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")


def folder_of(path, files):
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def archive_of(path, files, inside="cifar"):
    with tarfile.open(path, "w:gz" if path.suffix != ".tar" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def check(data):
    assert np.array_equal(data.inputs, PIXELS.reshape(-1, 3, 32, 32))
    assert (data.targets.tolist(), data.classes, data.test) == (TEN, tuple(NAMES), 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [python_2, python_3])
def test_every_version_is_read_from_a_folder(tmp_path, kind, write):
    check(load(folder_of(tmp_path / "mine", files_of(kind, write))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar"])
def test_every_version_is_read_from_an_archive(tmp_path, kind, suffix):
    check(load(archive_of(tmp_path / f"c{suffix}", files_of(kind), kind)))


def test_the_folder_may_lie_in_the_one_given(tmp_path):
    folder_of(tmp_path / "cifar-10-batches-py", files_of("cifar-10-batches-py"))
    check(load(tmp_path))


def test_nothing_is_written_when_an_archive_is_read(tmp_path):
    path = archive_of(tmp_path / "c.tar.gz", files_of("cifar-100-python"))
    load(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_lists_and_text_of_any_protocol_are_read(protocol):
    value = {"data": PIXELS[:2], "labels": [1, 2], "nested": [("a", 1.5, None, True)], "raw": b"\xff", 5: {}}
    found = unpickle(pickle.dumps(value, protocol=protocol), "it")
    assert np.array_equal(found.pop("data"), value.pop("data"))
    assert found == value


def test_arrays_in_fortran_order_are_read():
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert np.array_equal(unpickle(pickle.dumps({"a": array}, protocol=2), "it")["a"], array)


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Evil(print, ("run",)), 2), "it asks for `__builtin__.print`, which no data set needs"),
        (pickle.dumps({"data": np.zeros(2)}, 2), "it holds an array of other than bytes"),
        (pickle.dumps({"data": np.array([None])}, 2), "it holds an array of other than bytes"),
        (pickle.dumps({"data": np.datetime64(1, "s")}, 2), "it asks for `numpy._core.multiarray.scalar`"),
        (pickle.dumps([1]), "must hold a dict, but holds a list"),
        (b"", "the pickle is damaged: EOFError"),
        (b"\x80\x04Nr\xff\xff\xff\xff.", "must hold a dict"),  # a memo of four thousand million places
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\x00\x00.", "the pickle"),  # so many bytes to come
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR.", "must hold a dict, but holds a _Array"),
        (b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\n(tRs.", "the pickle is damaged: AttributeError"),
        (b"\x80\x02cbuiltins\neval\n.", "asks for `builtins.eval`"),
        (b"\x80\x02cnumpy\ndtype\n}U\x04text\x8c\x02u1s\x86b.", "the pickle"),
        (b"\x80\x02\x82\x01.", "the pickle"),  # copyreg's extensions
        (b"\x80\x02U\x01aQ.", "persistent"),
    ],
)
def test_a_pickle_that_is_no_plain_data_is_refused_and_runs_nothing(content, message, capsys):
    with pytest.raises(DataError, match=f"^it: .*{message}"):
        unpickle(content, "it")
    assert capsys.readouterr().out == ""


def test_what_a_pickle_sets_on_our_classes_stays_with_it():
    poison = b"\x80\x02cnumpy\ndtype\n(N}U\x0c__setstate__Nstb0}."
    with pytest.raises(DataError):
        unpickle(poison, "it")
    assert unpickle(pickle.dumps({"a": PIXELS}, 2), "it")["a"].shape == PIXELS.shape


@settings(deadline=None)
@given(st.data())
def test_a_damaged_pickle_is_read_or_refused(data):
    content = bytearray(python_3({"data": PIXELS[:1, :20], "labels": [1, 2], "names": ["a", "b"]}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpickle(bytes(content[: data.draw(st.integers(0, len(content)))]), "it")
    except DataError as error:
        message = str(error)
    else:
        return
    assert message.startswith("it: ")
    assert "\n" not in message


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused(tmp_path_factory, data):
    path = archive_of(tmp_path_factory.getbasetemp() / "plain.tar", files_of("cifar-100-binary"))
    content = bytearray(path.read_bytes())
    starts = [place for place in range(0, len(content), 512) if content[place + 257 : place + 262] == b"ustar"]
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 511))] = data.draw(st.integers(0, 255))
    damaged = path.with_name("damaged.tar.gz")
    damaged.write_bytes(gzip.compress(bytes(content), 1)[: data.draw(st.sampled_from([None, 100, 20_000]))])
    try:
        load(damaged)
    except DataError as error:
        message = str(error)
    else:
        return
    assert str(damaged) in message
    assert "\n" not in message


def test_a_missing_batch_or_another_archive_is_told(tmp_path):
    files = files_of("cifar-10-batches-py")
    del files["data_batch_4"]
    with pytest.raises(DataError, match="`data_batch_4` is missing"):
        load(folder_of(tmp_path / "a", files))
    with pytest.raises(DataError, match="the archive isn't CIFAR's"):
        load(archive_of(tmp_path / "c.tar.gz", {"readme": b"hello"}))


@pytest.mark.parametrize(
    ("kind", "name", "content", "message"),
    [
        (
            "cifar-10-batches-bin",
            "test_batch.bin",
            bytes(3073 + 7),
            "takes 3073 bytes, but the file ends 7 into image 1",
        ),
        ("cifar-100-binary", "train.bin", b"", "takes 3074 bytes, but the file ends 0 into image 0"),
        ("cifar-100-binary", "test.bin", b"\1\3" + bytes(3072), "image 0 has label 3, but there are 3 classes"),
        ("cifar-100-python", "train", python_2({"data": [1]}), r"`data` must be .* \(n, 3072\), but got list"),
        ("cifar-100-python", "train", python_2({"data": PIXELS[:, :9]}), r"\(n, 3072\), but got \(14, 9\)"),
        ("cifar-100-python", "test", python_2({"data": PIXELS, "fine_labels": [1]}), "must be a list of 14 whole"),
        ("cifar-100-python", "test", python_2({"data": PIXELS[:1], "fine_labels": [-1]}), "image 0 has label -1"),
        ("cifar-100-python", "meta", python_2({"x": []}), "a list of two classes' names at least"),
    ],
)
def test_a_broken_batch_is_refused_by_name(tmp_path, kind, name, content, message):
    path = folder_of(tmp_path / "c", files_of(kind) | {name: content})
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        load(path)
