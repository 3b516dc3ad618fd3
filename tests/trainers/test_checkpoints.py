import os

import pytest
import torch
from contracts.stack import same
from safetensors.torch import save_file

from leadline.trainers.checkpoints import read, write
from leadline.trainers.disk import WriteError

TENSORS = {
    "weights": torch.arange(12.0).reshape(3, 4),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "steps": torch.tensor(7.0, dtype=torch.float64),
    "count": torch.tensor(3),
    "empty": torch.zeros(0, 3),
    "turned": torch.arange(6.0).reshape(2, 3).T,
}
STATE = {"epoch": 3, "value": 0.1 + 0.2, "none": None, "reports": [{"value": 1e-300}], "text": "é\n"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "trials/00003/checkpoint.safetensors"


def assert_holds(path, tensors, state):
    found = read(path)
    assert found is not None
    assert same(found[0], tensors)
    assert {name: tensor.dtype for name, tensor in found[0].items()} == {n: t.dtype for n, t in tensors.items()}
    assert found[1] == state


def test_what_is_read_is_what_was_written(file):
    write(file, TENSORS, STATE)
    assert_holds(file, TENSORS, STATE)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_second_writing_replaces_the_first(file):
    write(file, TENSORS, STATE)
    write(file, {"other": torch.ones(1)}, {})
    assert_holds(file, {"other": torch.ones(1)}, {})


def test_the_one_before_may_be_kept_beside_it(file):
    before = file.with_name("before.safetensors")
    write(file, TENSORS, STATE, before=before)
    assert not before.exists()
    write(file, {"other": torch.ones(1)}, {}, before=before)
    assert_holds(file, {"other": torch.ones(1)}, {})
    assert_holds(before, TENSORS, STATE)


def test_parameters_are_written_without_their_gradients(file):
    write(file, {"weights": torch.nn.Parameter(torch.ones(2))}, {})
    assert_holds(file, {"weights": torch.ones(2)}, {})


def test_views_and_tensors_that_share_memory_are_written_each_as_its_own(file):
    whole = torch.arange(6.0)
    tensors = {"whole": whole, "again": whole, "part": whole[2:4], "spread": torch.ones(1).expand(4)}
    write(file, tensors, {})
    assert_holds(file, tensors, {})


def test_nothing_there_reads_as_none(file):
    assert read(file) is None


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_checkpoint(file, monkeypatch, call):
    write(file, TENSORS, STATE)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open" if call == "open" else f"os.{call}", fail)
        with pytest.raises(WriteError, match=r"checkpoint.*No space left.*bytes are needed"):
            write(file, {"other": torch.ones(1)}, {})
    assert_holds(file, TENSORS, STATE)


def test_the_content_is_on_disk_before_the_rename_and_the_rename_before_it_returns(file, monkeypatch):
    done = []

    def noted(name, function):
        def call(*args):
            done.append((name, os.fstat(args[0]).st_ino if name == "fsync" else None))
            return function(*args)

        return call

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    write(file, TENSORS, STATE)
    assert done == [("fsync", file.stat().st_ino), ("replace", None), ("fsync", file.parent.stat().st_ino)]


def test_a_file_cut_short_anywhere_reads_as_none(file):
    write(file, TENSORS, STATE)
    content = file.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for length in [0, 1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(content) - 1]:
        file.write_bytes(content[:length])
        assert read(file) is None, f"cut at {length} of {len(content)}"


def test_zeros_where_the_content_should_be_read_as_none(file):
    write(file, TENSORS, STATE)
    file.write_bytes(bytes(file.stat().st_size))
    assert read(file) is None


@pytest.mark.parametrize("change", [0x01, 0x20, 0x80, 0xFF])
def test_a_file_with_any_byte_wrong_reads_as_none(file, change):
    write(file, {"weights": torch.arange(6.0), "half": torch.ones(2, dtype=torch.bfloat16)}, {"epoch": 3, "é": "é"})
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ change]) + content[place + 1 :])
        assert read(file) is None, f"byte {place} of {len(content)}"


def test_a_state_that_looks_like_the_checksum_is_no_matter(file):
    state = {"checked": "00000000", '"checked":"': '"checked":"00000000'}
    write(file, {"checked": torch.ones(2)}, state)
    assert_holds(file, {"checked": torch.ones(2)}, state)


def test_what_is_written_twice_is_the_same_to_the_byte(file):
    write(file, TENSORS, STATE)
    content = file.read_bytes()
    write(file, TENSORS, STATE)
    assert file.read_bytes() == content


def test_a_header_that_claims_more_than_there_is_takes_no_memory(file):
    file.parent.mkdir(parents=True)
    for length in (2**40, 2**63 - 1, 2**64 - 1):
        file.write_bytes(length.to_bytes(8, "little") + b'{"__metadata__":{"state":"{}"}}')
        assert read(file) is None
    header = (
        b'{"__metadata__":{"state":"{}"},"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    )
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert read(file) is None


def test_a_file_of_an_earlier_version_without_a_checksum_is_read(file):
    file.parent.mkdir(parents=True)
    save_file({"weights": torch.ones(2)}, file, {"state": '{"epoch": 3}'})
    assert_holds(file, {"weights": torch.ones(2)}, {"epoch": 3})


def test_somebody_elses_file_reads_as_none(file):
    file.parent.mkdir(parents=True)
    file.write_text("not safetensors at all, but long enough to have a header")
    assert read(file) is None
    save_file({"weights": torch.ones(2)}, file)  # without our state
    assert read(file) is None
