import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadline.trainers.streams import PURPOSES, Stream

SEEDS = st.integers(0, 2**63)
NUMBERS = st.integers(0, 2**31)


@given(SEEDS, NUMBERS, NUMBERS, st.sampled_from(PURPOSES), NUMBERS)
def test_a_key_seeds_torch_and_is_the_same_each_time(seed, number, fold, purpose, epoch):
    key = Stream(seed, number, fold).key(purpose, epoch)
    assert 0 <= key < 2**63
    assert Stream(seed, number, fold).key(purpose, epoch) == key


def test_seed_number_fold_purpose_and_epoch_each_give_other_keys():
    keys = [
        Stream(seed, number, fold).key(purpose, epoch)
        for seed in range(4)
        for number in range(4)
        for fold in range(4)
        for purpose in PURPOSES
        for epoch in range(4)
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("stream", "purpose", "epoch", "key"),
    [
        (Stream(0, 0), "weights", 0, 4334430513956379144),
        (Stream(0, 7), "order", 3, 6606295212429736210),
        (Stream(2**40, 12, fold=4), "noise", 250, 7933279230998363042),
    ],
)
def test_keys_never_change(stream, purpose, epoch, key):
    assert stream.key(purpose, epoch) == key


def test_an_unknown_purpose_is_refused():
    with pytest.raises(ValueError):
        Stream(0, 0).key("coffee")
