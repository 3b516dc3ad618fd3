"""Each kind of broken data is one clear error that names the file, and the row or member, before any training."""

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pandas
import pytest
from PIL import Image

from leadline.errors import DataError
from leadline.trainers.data import load, split
from leadline.trainers.data.readers import packed

IMAGES = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
LABELS = np.array([0, 1, 0, 1])


def broken(**options):
    """Marks a function that writes a broken data set into a folder and returns its path, and what to load it with."""

    def register(make):
        KINDS.append(pytest.param(make, options, id=make.__name__.replace("_", " ")))
        return make

    return register


KINDS = []


def text(folder, content, name="table.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(folder, **members):
    with zipfile.ZipFile(folder / "mine.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content if isinstance(content, bytes) else npy(content))
    return folder / "mine.npz"


def pets(folder, size=(5, 4)):
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(3):
            Image.new("RGB", size, (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def idx(array, shape=None):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *(shape or array.shape)) + array.tobytes()


def mnist(folder, images, labels, end=""):
    (folder / f"train-images-idx3-ubyte{end}").write_bytes(images)
    (folder / f"train-labels-idx1-ubyte{end}").write_bytes(labels)
    return folder


def tar(folder, *members):
    """Writes a .tar.gz of members (name, content, kind)."""
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return folder / "cifar.tar.gz"


def png_claiming(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


# Tables


@broken(says=r"as many cells as the first, 2, but line 3 has 3", file="table.csv")
def a_line_too_long(folder):
    return text(folder, "x,y\n1,0.5\n2,1.5,9\n3,2.5\n")


@broken(says=r"as many cells as the first, 3, but line 4 has 2", file="table.csv")
def a_line_too_short(folder):
    return text(folder, 'x,z,y\n"1,\n",2,0.5\n2,1.5\n3,1,2.5\n')


@broken(says=r"no column is called `prize`\. Did you mean `price`", file="table.csv", label="prize")
def no_such_label_column(folder):
    return text(folder, "x,price\n1,0.5\n2,1.5\n")


@broken(says=r"`x` comes twice in line 1", file="table.csv")
def two_columns_of_one_name(folder):
    return text(folder, "x,x,y\n1,2,0.5\n3,4,1.5\n")


@broken(says=r"column `x` hold NaN or infinity, first in row 1", file="table.csv")
def an_infinite_number(folder):
    return text(folder, "x,y\n1,0.5\n-inf,1.5\n")


@broken(says=r"Most targets are numbers to predict, but row 2 has 'oops'", file="table.csv")
def text_in_a_numeric_target(folder):
    return text(folder, "x,y\n1,0.5\n2,1.5\n3,oops\n4,2.5\n")


@broken(says=r"Targets of a regression must be numbers, but got 'oops' in row 1", file="table.csv", task="regression")
def text_in_the_target_of_a_regression(folder):
    return text(folder, "x,y\n1,1\n2,oops\n3,2\n")


@broken(says=r"Column `x` holds numbers, but 'oops' in row 30\. Empty that cell", file="table.csv")
def text_in_a_numeric_column(folder):
    return text(folder, "x,y\n" + "".join(f"{row},{row / 3}\n" for row in range(30)) + "oops,0.5\n")


@broken(says=r"Every example needs a target, but 1 have none, first in row 1", file="table.csv")
def a_target_missing(folder):
    return text(folder, "y,x\na,1\n,2\nb,3\n")


@broken(says=r"must be UTF-8, but line 3 has an invalid start byte at byte 1", file="table.csv")
def bad_utf_8(folder):
    return text(folder, "x,y\nu,0\nMüller,1\n".encode("latin-1"))


@broken(says=r"all targets are `a`", file="table.csv")
def one_class_only(folder):
    return text(folder, "x,y\n1,a\n2,a\n3,a\n")


@broken(says=r"two lines and two columns at least", file="table.csv")
def an_empty_file(folder):
    return text(folder, "")


@broken(says=r"No column is left|which column is the label", file="table.csv")
def bytes_that_are_no_table(folder):
    return text(folder, "\x00\x01,\x02\n\x03,\x04\n\x05,\x06\n")


@broken(says=r"the quote in line 3 never ends", file="table.csv")
def a_quote_that_never_ends(folder):
    return text(folder, 'x,y\n1,0.5\n"2,1.5\n3,2.5\n')


@broken(says=r"`group` must be known for every row, but column `who` lacks 1, first in row 1", group="who", file="t")
def a_group_missing(folder):
    return text(folder, "x,who,y\n1,a,0.5\n2,,1.5\n")


@broken(says=r"`when` holds 'soon' in row 1", file="table.csv", time="when")
def a_time_that_is_none(folder):
    return text(folder, "x,when,y\n1,2024-01-31,0.5\n2,soon,1.5\n")


@broken(says=r"the gzip file is damaged", file="table.csv.gz")
def a_gzip_file_cut_off(folder):
    rows = "".join(f"{row},{row * 0.37}\n" for row in range(500))
    return text(folder, gzip.compress(f"x,y\n{rows}".encode())[:-200], "table.csv.gz")


@broken(says=r"taken for a bomb", file="table.csv.gz")
def a_gzip_bomb(folder):
    return text(folder, gzip.compress(b"x,y\n" + b"1,2\n" * 1_000_000), "table.csv.gz")


@broken(says=r"the Parquet file can't be read", file="t.parquet")
def a_parquet_file_damaged(folder):
    pandas.DataFrame({"x": range(100), "y": range(100)}).to_parquet(folder / "t.parquet")
    content = bytearray((folder / "t.parquet").read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    return text(folder, bytes(content), "t.parquet")


@broken(says=r"column `x` holds a ndarray in row 0", file="t.parquet")
def a_parquet_column_of_lists(folder):
    pandas.DataFrame({"x": [[1], [2, 3]], "y": [0.5, 1.5]}).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


@broken(says=r"a table may have 50,000 columns, but this has 60,001\. Give an array", file="table.csv")
def a_table_of_too_many_columns(folder):
    return text(folder, ("," * 60_000 + "\n") * 3)


@broken(says=r"t\.parquet: \d+ packed bytes unpack to \d+ or more", file="t.parquet")
def a_parquet_bomb(folder):
    pandas.DataFrame({"x": np.zeros(5_000_000), "y": np.zeros(5_000_000)}).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


# Arrays


@broken(says=r"inputs hold NaN or infinity, first in row 2", file="mine.npz")
def nan(folder):
    return npz(folder, x=np.where(np.eye(4) * [0, 0, 1, 0], np.nan, 1.0), y=LABELS)


@broken(says=r"Inputs must be of shape \(n, \.\.\.\) with at least one value each, but got \(4,\)", file="mine.npz")
def wrong_shape(folder):
    return npz(folder, x=LABELS, y=LABELS)


@broken(says=r"mine\.npz, x\.npy: the array holds Python objects, which are never unpickled", file="mine.npz")
def an_array_of_objects(folder):
    return npz(folder, x=np.array([None, 1, 2, 3]), y=LABELS)


@broken(says=r"y\.npy of shape \(3,\): they differ in number", file="mine.npz")
def lengths_that_differ(folder):
    return npz(folder, x=IMAGES, y=LABELS[:3])


@broken(says=r"x\.npy: the header says .* bytes, but there are", file="mine.npz")
def a_header_that_claims_terabytes(folder):
    content = npy(IMAGES)
    return npz(folder, x=content.replace(b"(4, 6, 5), }" + b" " * 12, b"(4000000, 6000000, 5), }"), y=LABELS)


def npy_with(header):
    text = header.ljust(118).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@broken(says=r"its header is damaged or not that of a plain array", file="inputs.npy")
def a_header_of_a_hundred_dimensions(folder):
    text(folder, npy(LABELS), "targets.npy")
    head = npy_with("{'descr': '|u1', 'fortran_order': False, 'shape': (4, " + "1, " * 100 + ")}")
    return text(folder, head + bytes(4), "inputs.npy").parent


@broken(says=r"its header is damaged or not that of a plain array", file="inputs.npy")
def a_header_with_a_number_of_thousands_of_digits(folder):
    text(folder, npy(LABELS), "targets.npy")
    head = npy_with("{'descr': '|u1', 'fortran_order': False, 'shape': (4, " + "9" * 5000 + ")}")
    return text(folder, head + bytes(4), "inputs.npy").parent


@broken(says=r"its header is damaged or not that of a plain array", file="inputs.npy")
def a_header_with_code_in_it(folder):
    text(folder, npy(LABELS), "targets.npy")
    head = npy_with("{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (4, 1)}")
    return text(folder, head + bytes(4), "inputs.npy").parent


@broken(says=r"its header is damaged or not that of a plain array", file="inputs.npy")
def a_header_with_items_of_exabytes(folder):
    text(folder, npy(LABELS), "targets.npy")
    head = npy_with("{'descr': '<U99999999999999999999', 'fortran_order': False, 'shape': (4, 1)}")
    return text(folder, head + bytes(4), "inputs.npy").parent


@broken(says=r"an IDX file starts with 00 00, its type and dimensions, but got 00 00 08 c8", file="train-images")
def an_idx_file_of_two_hundred_dimensions(folder):
    images = struct.pack(">HBB200I", 0, 8, 200, 4, *[1] * 199) + bytes(4)
    return mnist(folder, images, idx(LABELS.astype(np.uint8)))


@broken(says=r"the archive can't be read: ", file="mine.npz")
def an_archive_cut_off(folder):
    content = npz(folder, x=IMAGES, y=LABELS).read_bytes()
    return text(folder, content[:-30], "mine.npz")


@broken(says=r"the archive can't be read: Bad CRC-32 for file 'x\.npy'", file="mine.npz")
def an_archive_with_bytes_changed(folder):
    np.savez(folder / "mine.npz", x=IMAGES, y=LABELS)
    content = (folder / "mine.npz").read_bytes()
    return text(folder, content.replace(IMAGES.tobytes(), IMAGES[::-1].tobytes()), "mine.npz")


@broken(says=r"the member '\.\./x\.npy' lies outside the archive's folder", file="mine.npz")
def a_zip_member_outside_its_folder(folder):
    return npz(folder, **{"../x": IMAGES, "y": LABELS})


@broken(says=r"x\.npy: \d+ packed bytes unpack to \d+ or more", file="mine.npz")
def a_zip_bomb(folder):
    return npz(folder, x=np.zeros((4, 1_000_000), np.uint8), y=LABELS)


@broken(
    says=r"inputs\.npy: the header says uint8 of shape \(4, 6, 5\), that is 248 bytes, but there are 240", file="inputs"
)
def an_npy_file_cut_off(folder):
    text(folder, npy(LABELS), "targets.npy")
    text(folder, npy(IMAGES)[:-8], "inputs.npy")
    return folder


@broken(says=r"the header says \(4, 6, 5\), that is 136 bytes, but the file has 129", file="train-images-idx3-ubyte")
def an_idx_file_cut_off(folder):
    return mnist(folder, idx(IMAGES)[:-7], idx(LABELS.astype(np.uint8)))


@broken(says=r"the header says \(4294967295, 4294967295, 4294967295\)", file="train-images-idx3-ubyte.gz")
def an_idx_header_that_claims_more_than_there_is(folder):
    packed_images = gzip.compress(idx(IMAGES, shape=(2**32 - 1,) * 3))
    return mnist(folder, packed_images, gzip.compress(idx(LABELS.astype(np.uint8))), ".gz")


# Images


@broken(says=r"dog/1\.png: the image can't be decoded: ", file="1.png")
def an_image_cut_off(folder):
    Image.effect_noise((50, 40), 90).save(pets(folder, (50, 40)) / "dog" / "1.png")
    text(folder / "dog", (folder / "dog" / "1.png").read_bytes()[:700], "1.png")
    return folder


@broken(says=r"cat/2\.png: the file is no image \(PNG, JPEG, BMP, PPM\), or a damaged one, of 30 bytes", file="2.png")
def an_image_that_cannot_be_read(folder):
    text(pets(folder) / "cat", b"\x89PNG\r\n\x1a\n" + b"\x17" * 22, "2.png")
    return folder


@broken(
    says=r"dog/2\.png: the image is 9 x 7 pixels \(height x width\), but most are 4 x 5\. .*size: \[4, 5\]",
    file="2.png",
)
def an_image_of_another_size(folder):
    Image.new("RGB", (7, 9)).save(pets(folder) / "dog" / "2.png")
    return folder


@broken(says=r"cat/notes\.txt: the file is no image", file="notes.txt")
def a_file_that_is_no_image(folder):
    text(pets(folder) / "cat", "remember the milk", "notes.txt")
    return folder


@broken(says=r"dog/2\.png: the image ", file="2.png")
def an_image_that_claims_billions_of_pixels(folder):
    text(pets(folder) / "dog", png_claiming(2**31 - 1, 2**31 - 1), "2.png")
    return folder


@broken(says=r"dog/2\.png: the image ", file="2.png", size=4)
def an_image_that_claims_a_hundred_million_pixels(folder):
    text(pets(folder) / "dog", png_claiming(10_000, 10_000), "2.png")
    return folder


@broken(says=r"the folder is empty\. A data set's folder holds a folder of images for each class", file="")
def an_empty_folder(folder):
    return folder


@broken(says=r"ant: the class's folder is empty", file="ant")
def an_empty_class(folder):
    (pets(folder) / "ant").mkdir()
    return folder


@broken(says=r"two folders with images at least, but got \('cat',\)", file="")
def one_folder_only(folder):
    for path in (pets(folder) / "dog").iterdir():
        path.unlink()
    (folder / "dog").rmdir()
    return folder


@broken(says=r"0\.png: the image lies in no class's folder", file="0.png")
def images_without_folders(folder):
    Image.new("L", (4, 4)).save(folder / "0.png")
    return folder


@broken(says=r"test/ox: the class has no images to learn from", file="ox")
def a_class_in_the_test_set_alone(folder):
    for part in ("train", "test"):
        (folder / part).mkdir()
        pets(folder / part)
    (folder / "test" / "dog").rename(folder / "test" / "ox")
    return folder


# Archives


@broken(says=r"the member 'a/\.\./\.\./data_batch_1' lies outside the archive's folder", file="cifar.tar.gz")
def a_tar_member_outside_its_folder(folder):
    return tar(folder, ("a/../../data_batch_1", b"x", tarfile.REGTYPE))


@broken(says=r"the member '/tmp/data_batch_1' lies outside the archive's folder", file="cifar.tar.gz")
def a_tar_member_with_an_absolute_path(folder):
    return tar(folder, ("/tmp/data_batch_1", b"x", tarfile.REGTYPE))


@broken(says=r"the member 'a/data_batch_1' is a link, a device or a sparse file", file="cifar.tar.gz")
def a_tar_member_that_is_a_link(folder):
    return tar(folder, ("a/data_batch_1", b"", tarfile.SYMTYPE))


@broken(says=r"the member 'a/test_batch' is a link, a device or a sparse file", file="cifar.tar.gz")
def a_tar_member_that_is_a_hard_link(folder):
    return tar(folder, ("a/batches.meta", b"x", tarfile.REGTYPE), ("a/test_batch", b"", tarfile.LNKTYPE))


@broken(says=r"the member 'a/data_batch_1' is a link, a device or a sparse file", file="cifar.tar.gz")
def a_tar_member_that_is_a_device(folder):
    return tar(folder, ("a/data_batch_1", b"", tarfile.CHRTYPE))


@broken(says=r"the member 'a/data_batch_1' is a link, a device or a sparse file", file="cifar.tar")
def a_tar_member_of_terabytes_of_nothing(folder):
    member = tarfile.TarInfo("a/data_batch_1")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0%011o\0" % (0, 0)  # one piece: nothing of nothing
    head[483:495] = b"77777777777\0"  # what it claims to be: 8 GiB, the most that octal digits say
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return text(folder, bytes(head) + bytes(1024), "cifar.tar")


@broken(says=r"the archive is damaged|the gzip file is damaged", file="cifar.tar.gz")
def a_tar_archive_cut_off(folder):
    noise = np.random.default_rng(0).bytes(50_000)
    content = tar(folder, ("a/data_batch_1", noise, tarfile.REGTYPE)).read_bytes()
    return text(folder, content[:20_000], "cifar.tar.gz")


class Evil:
    def __reduce__(self):
        return print, ("run",)


@broken(says=r"cifar\.tar\.gz, batches\.meta: .*asks for `__builtin__\.print`, which no data set needs", file="cifar")
def an_evil_pickle_in_an_archive(folder):
    meta = pickle.dumps({"label_names": ["a", "b"], "evil": Evil()}, 2)
    names = [*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"]
    return tar(folder, *((f"a/{name}", meta, tarfile.REGTYPE) for name in ["batches.meta", *names]))


@pytest.mark.parametrize(("make", "options"), KINDS)
def test_broken_data_is_one_line_that_names_the_file_and_the_place(tmp_path, monkeypatch, capsys, make, options):
    monkeypatch.setattr(packed, "FREE", 1_000_000)
    options = dict(options)
    says, file = options.pop("says"), options.pop("file")
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        load(path, **options)
    (message,) = str(caught.value).splitlines()
    assert re.search(says, message), message
    assert str(tmp_path) in message
    assert file in message
    assert len(message) < 600
    assert capsys.readouterr().out == ""


def test_there_are_twenty_kinds_at_least():
    assert len(KINDS) >= 20


def test_a_class_with_one_sample_is_told_before_any_training(tmp_path):
    data = load(text(tmp_path, "x,y\n1,a\n2,b\n3,a\n4,a\n5,a\n6,a\n"))
    with pytest.raises(DataError, match=r"[Ee]ach class needs two .*class `b` of `table` has 1") as caught:
        split(data, seed=0)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    path = text(tmp_path, "x,y\n1,0.5\n2,1.5\n")

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("leadline.trainers.data.readers.delimited.opened", refuse)
    with pytest.raises(DataError, match=r"table\.csv: it can't be read: Permission denied"):
        load(path)
