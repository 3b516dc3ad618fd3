import gzip
import io

import pytest

from leadline.errors import DataError
from leadline.trainers.data.readers import packed
from leadline.trainers.data.readers.packed import check_expansion, fill, opened, read_all


@pytest.mark.parametrize("name", ["a.bin", "a.bin.gz", "a.tgz"])
def test_bytes_come_unpacked_where_the_name_says_so(tmp_path, name):
    content = bytes(range(256)) * 5000
    (tmp_path / name).write_bytes(content if name == "a.bin" else gzip.compress(content))
    with opened(tmp_path / name) as stream:
        assert stream.read(10) == content[:10]
        assert bytes(read_all(stream, 2_000_000)) == content[10:]


def test_a_bomb_is_refused_before_it_has_burst(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "FREE", 100_000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(5_000_000)))
    with opened(path) as stream, pytest.raises(DataError, match=r"bomb\.gz: \d+ packed bytes unpack to .* or more"):
        read_all(stream, 5_000_000)


def test_much_from_little_is_let_through_while_it_is_small():
    check_expansion("it", 2**30, 1)
    check_expansion("it", 2**31, 2**24)
    with pytest.raises(DataError, match="over 200 times as many"):
        check_expansion("it", 2**31, 2**23)


def test_no_more_memory_is_taken_than_there_are_bytes():
    assert read_all(io.BytesIO(b"abc"), 2**60) == b"abc"
    view = memoryview(bytearray(5))
    assert (fill(io.BytesIO(b"abc"), view), bytes(view)) == (3, b"abc\0\0")
