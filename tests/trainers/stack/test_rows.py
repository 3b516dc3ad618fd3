"""Rows: what the lanes of a stack own, side by side."""

import pytest
import torch
from contracts.models import Tied
from contracts.stack import same
from torch import nn

from leadline.trainers.stack.rows import VECTOR, Rows

STATE = ("first", "second")


def network(seed=0, width=5):
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))
        nn.init.normal_(made[1].running_mean)
    return made


def rows_of(*networks, like=None):
    rows = Rows(like or networks[0], STATE)
    rows.arrange([None] * len(networks))
    for row, one in enumerate(networks):
        rows.write(row, one, {})
    return rows


def state_of(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(rows.weights.shape[1], generator=generator) for name in STATE}


# The layout


def test_weights_lie_side_by_side_in_the_order_of_the_network():
    rows = rows_of(network(0), network(1))
    for row in range(2):
        flat = torch.cat([parameter.detach().flatten() for parameter in network(row).parameters()])
        assert torch.equal(rows.weights[row, : len(flat)], flat)
        assert not rows.weights[row, len(flat) :].any()


@pytest.mark.parametrize("width", range(1, 20))
def test_a_row_is_whole_vectors(width):
    rows = rows_of(network(width=width))
    count = sum(parameter.numel() for parameter in network(width=width).parameters())
    assert rows.weights.shape[1] % 16 == 0
    assert rows.weights.shape[1] % VECTOR == 0
    assert count <= rows.weights.shape[1] < count + VECTOR
    assert rows.grads.shape == rows.weights.shape
    assert {name: state.shape for name, state in rows.state.items()} == dict.fromkeys(STATE, rows.weights.shape)


def test_tensors_by_name_are_views_of_the_rows():
    rows = rows_of(network(0), network(1))
    assert set(rows.tensors) == {*dict(network().named_parameters()), *dict(network().named_buffers())}
    with torch.no_grad():
        rows.weights.fill_(7)
    for name, parameter in network().named_parameters():
        assert rows.tensors[name].shape == (2, *parameter.shape)
        assert rows.tensors[name].requires_grad
        assert (rows.tensors[name] == 7).all()


def test_gradients_are_views_too():
    rows = rows_of(network(0), network(1))
    rows.take([torch.full_like(place, number) for number, place in enumerate(rows.gradients, start=1)])
    expected = [float(number) for number, place in enumerate(rows.gradients, 1) for _ in range(place[0].numel())]
    assert rows.grads[1, : len(expected)].tolist() == expected
    assert not rows.grads[:, len(expected) :].any()


def test_l1_is_for_weights_of_more_than_one_dimension():
    rows = rows_of(network())
    expected = torch.cat([torch.full((p.numel(),), float(p.ndim > 1)) for p in network().parameters()])
    assert torch.equal(rows.penalized[: len(expected)], expected)
    assert not rows.penalized[len(expected) :].any()


def test_a_network_without_trained_weights_is_refused():
    with pytest.raises(ValueError, match="needs trained weights"):
        Rows(nn.Linear(2, 2).requires_grad_(False), STATE)


def test_weights_of_two_dtypes_are_refused():
    with pytest.raises(ValueError, match="all of one dtype"):
        Rows(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), STATE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_of_the_networks_dtype(dtype):
    rows = rows_of(network().to(dtype))
    assert {rows.weights.dtype, rows.grads.dtype, *(state.dtype for state in rows.state.values())} == {dtype}
    assert rows.tensors["1.num_batches_tracked"].dtype == torch.int64


# Writing and reading


def test_what_was_written_is_read_again():
    rows = rows_of(network(0), network(1), network(2))
    for row in range(3):
        assert same(rows.network(row), dict(network(row).state_dict()))


def test_writing_a_row_leaves_the_others_as_they_are():
    rows = rows_of(network(0), network(1), network(2))
    rows.write(1, network(9), state_of(rows, 9))
    assert same(rows.network(1), dict(network(9).state_dict()))
    assert same({name: state[1] for name, state in rows.state.items()}, state_of(rows, 9))
    for row in (0, 2):
        assert same(rows.network(row), dict(network(row).state_dict()))
        assert not any(state[row].any() for state in rows.state.values())


def test_a_refilled_row_has_nothing_left_of_the_optimizers_state():
    rows = rows_of(network(0))
    rows.write(0, network(1), state_of(rows, 1))
    rows.write(0, network(2), {})
    assert not any(state.any() for state in rows.state.values())


def test_what_is_read_is_a_copy():
    rows = rows_of(network(0))
    kept = rows.network(0)
    with torch.no_grad():
        rows.weights.zero_()
        rows.tensors["1.running_mean"].zero_()
    assert same(kept, dict(network(0).state_dict()))


def test_tied_weights_are_read_by_both_their_names():
    tied = Tied(3, 2)
    rows = rows_of(tied)
    assert same(rows.network(0), dict(tied.state_dict()))
    assert "second.weight" in rows.network(0)
    assert "second.weight" not in rows.tensors


def test_a_buffer_that_is_not_saved_is_written_and_not_read():
    one = network()
    one.register_buffer("passing", torch.ones(2), persistent=False)
    rows = rows_of(one)
    assert (rows.tensors["passing"][0] == 1).all()
    assert "passing" not in rows.network(0)


def test_a_lent_row_is_the_networks():
    one = network()
    rows = rows_of(network(1), one)
    rows.lend(1, one)
    with torch.no_grad():
        rows.weights[1] += 1
    assert same(
        {name: p.detach() for name, p in one.named_parameters()},
        {name: tensor for name, tensor in rows.network(1).items() if name in dict(one.named_parameters())},
    )


# Rows come and go


@pytest.mark.parametrize(
    "sources",
    [[0, 1, 2], [2, 0, 1], [1], [2, None, 0], [None, None, 1, 0], [0, 1, 2, None, None], [None], [], [1, 1]],
    ids=str,
)
def test_rows_move_with_all_that_is_theirs(sources):
    rows = rows_of(network(0), network(1), network(2))
    for row in range(3):
        rows.write(row, network(row), state_of(rows, row))
    rows.arrange(sources)
    assert len(rows) == len(sources)
    for row, source in enumerate(sources):
        if source is None:
            assert not rows.weights[row].any()
            assert not any(state[row].any() for state in rows.state.values())
            assert not any(rows.tensors[name][row].any() for name, _ in network().named_buffers())
        else:
            assert same(rows.network(row), dict(network(source).state_dict()))
            assert same({name: state[row] for name, state in rows.state.items()}, state_of(rows, source))


def test_after_a_move_tensors_and_gradients_are_views_of_the_new_rows():
    rows = rows_of(network(0), network(1))
    rows.arrange([1, None, 0])
    with torch.no_grad():
        rows.weights.fill_(3)
    assert all((tensor == 3).all() for tensor in rows.trained)
    rows.take([torch.ones_like(place) for place in rows.gradients])
    assert float(rows.grads.sum()) == 3 * sum(parameter.numel() for parameter in network().parameters())


def test_a_snapshot_brings_back_all_that_training_changes():
    rows = rows_of(network(0), network(1))
    rows.write(1, network(1), state_of(rows, 1))
    kept = rows.snapshot()
    with torch.no_grad():
        rows.weights.add_(1)
        rows.tensors["1.running_mean"].add_(1)
        for state in rows.state.values():
            state.add_(1)
    rows.restore(kept)
    assert same(rows.network(0), dict(network(0).state_dict()))
    assert same({name: state[1] for name, state in rows.state.items()}, state_of(rows, 1))
    assert not any(state[0].any() for state in rows.state.values())


# Frozen and unused weights


def frozen(seed=0):
    made = network(seed)
    made[0].requires_grad_(False)
    return made


def test_frozen_weights_are_kept_and_not_trained():
    rows = rows_of(frozen(0), frozen(1))
    assert not rows.tensors["0.weight"].requires_grad
    assert len(rows.trained) == 4
    with torch.no_grad():
        rows.weights.zero_()
    assert torch.equal(rows.network(1)["0.weight"], frozen(1)[0].weight)
    rows.arrange([1])
    assert torch.equal(rows.network(0)["0.weight"], frozen(1)[0].weight)


def test_a_weight_without_a_gradient_has_one_of_zeros():
    rows = rows_of(network(0), network(1))
    rows.take([torch.ones_like(place) for place in rows.gradients])
    rows.take([None, *(torch.ones_like(place) for place in rows.gradients[1:])])
    assert not rows.gradients[0].any()
    assert all((gradient == 1).all() for gradient in rows.gradients[1:])


# Narrower networks


def test_a_narrower_network_fills_the_corner_of_its_row():
    rows = rows_of(network(0, width=3), network(1, width=5), like=network(width=5))
    narrow = network(0, width=3)
    assert same(rows.network(0), dict(narrow.state_dict()))
    assert same(rows.network(1), dict(network(1, width=5).state_dict()))
    whole = rows.tensors["0.weight"][0].detach()
    assert torch.equal(whole[:3], narrow[0].weight)
    assert not whole[3:].any()


def test_a_narrower_network_leaves_nothing_of_a_wider_one_before_it():
    rows = rows_of(network(1, width=5))
    rows.write(0, network(0, width=3), {})
    alone = rows_of(network(0, width=3), like=network(width=5))
    assert torch.equal(rows.weights, alone.weights)
    for name, _ in network().named_buffers():
        assert torch.equal(rows.tensors[name], alone.tensors[name])


def test_a_narrower_network_moves_with_its_width():
    rows = rows_of(network(0, width=3), network(1, width=5), like=network(width=5))
    rows.arrange([1, None, 0])
    assert same(rows.network(2), dict(network(0, width=3).state_dict()))
    assert same(rows.network(0), dict(network(1, width=5).state_dict()))
