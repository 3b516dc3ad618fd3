"""Augmentation: what becomes of examples, by numbers that can be checked by hand, and where the numbers come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from leadline import Choice, Float, Int, Space, Study, Trainer
from leadline.trainers.augmentation import DRAWS, OF_IMAGES, Augmentation, augmented, mixed
from leadline.trainers.messages import Job
from leadline.trainers.plan import name_of
from leadline.trainers.recipe import ALTERATIONS, Recipe
from leadline.trainers.stack import Lane
from leadline.trainers.streams import Stream

CPU = torch.device("cpu")
ALL = {"flip": 0.5, "shift": 2, "cutout": 3, "mixup": 0.4}


def lane(number=0, fold=0, seed=0, epoch=1, **settings):
    return Lane(number, {}, Recipe(**settings), Stream(seed, number, fold), epoch)


def table(*lanes, steps=3, batch=4, shape=(2, 5, 7)):
    return Augmentation(lanes, steps, batch, shape, CPU).table


def now(*lanes, step=0, **sizes):
    return {name: column[step] for name, column in table(*lanes, **sizes).items()}


def images(lanes=1, batch=4, shape=(2, 5, 7)):
    """Returns images (K, B, C, H, W) all of whose pixels differ, and none is zero."""
    count = lanes * batch * int(np.prod(shape))
    return torch.arange(1.0, count + 1).view(lanes, batch, *shape)


# Flips


def test_a_sure_flip_mirrors_every_image_left_to_right():
    given = images()
    assert torch.equal(augmented(given, now(lane(flip=1))), given.flip(-1))


def test_an_example_of_a_flip():
    rows = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).view(1, 1, 1, 2, 3)
    flipped = augmented(rows, {"flip": torch.tensor([[True]])})
    assert flipped.flatten().tolist() == [3, 2, 1, 6, 5, 4]


def test_each_image_is_flipped_or_left_as_the_draw_says():
    given = images(lanes=2)
    drawn = torch.tensor([[True, False, False, True], [False, False, True, True]])
    expected = torch.where(drawn[:, :, None, None, None], given.flip(-1), given)
    assert torch.equal(augmented(given, {"flip": drawn}), expected)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_so_many_images_are_flipped_as_the_probability_says(share):
    drawn = table(lane(flip=share), steps=100, batch=200)["flip"]
    assert float(drawn.double().mean()) == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


# Shifts


@pytest.mark.parametrize("down", [-2, 0, 1])
@pytest.mark.parametrize("right", [-1, 0, 2])
def test_a_shift_is_padding_with_zeros_and_cropping(down, right):
    given = images(batch=1)
    height, width = given.shape[-2:]
    wide = F.pad(given[0], (2, 2, 2, 2))
    cropped = wide[..., 2 + down : 2 + down + height, 2 + right : 2 + right + width]
    assert torch.equal(augmented(given, {"shift": torch.tensor([[[down, right]]])})[0], cropped)


def test_an_image_that_is_shifted_away_is_zero():
    given = images(batch=2)
    gone = augmented(given, {"shift": torch.tensor([[[5, 0], [0, -7]]])})
    assert not gone.any()


def test_all_offsets_up_to_the_greatest_come_and_come_alike():
    drawn = table(lane(shift=2), steps=50, batch=200)["shift"].flatten(0, 2)
    for offsets in drawn.T:
        found, counts = offsets.unique(return_counts=True)
        assert found.tolist() == [-2, -1, 0, 1, 2]
        assert counts.min() > 2000 - 4 * (10_000 * 0.2 * 0.8) ** 0.5
    assert abs(float(np.corrcoef(drawn.T)[0, 1])) < 0.04


# Cutout


def cut(row, column, side, height=5, width=7):
    """Returns where an image (H, W) is left, if a square of that side has its centre at (row, column)."""
    left = torch.ones(height, width, dtype=torch.bool)
    top, first = row - side // 2, column - side // 2
    left[max(0, top) : max(0, top + side), max(0, first) : max(0, first + side)] = False
    return left


@pytest.mark.parametrize("side", [1, 2, 3, 20])
@pytest.mark.parametrize(("row", "column"), [(2, 3), (0, 0), (4, 6), (0, 5)])
def test_a_square_is_cut_out_of_all_channels_and_at_the_border_the_part_that_is_inside(row, column, side):
    given = images(batch=1)
    first = torch.tensor([row, column]) - side // 2
    square = torch.stack([first, first + side]).view(1, 1, 2, 2)
    expected = given * cut(row, column, side)
    assert torch.equal(augmented(given, {"cutout": square}), expected)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_squares_of_that_side_have_their_centres_anywhere_in_the_image_alike(side):
    drawn = table(lane(cutout=side), steps=50, batch=140)["cutout"].flatten(0, 2)
    first, beyond = drawn[:, 0], drawn[:, 1]
    assert (beyond - first == side).all()
    centres, counts = (first + side // 2).unique(dim=0, return_counts=True)
    assert {tuple(centre) for centre in centres.tolist()} == {(row, column) for row in range(5) for column in range(7)}
    assert counts.min() > 200 - 4 * 200**0.5
    assert counts.max() < 200 + 4 * 200**0.5


def test_a_square_is_cut_from_where_it_was_drawn_wherever_the_image_was_moved():
    drawn = now(lane(flip=1, shift=2, cutout=3))
    given = images()
    moved = augmented(given, {name: drawn[name] for name in ("flip", "shift")})
    assert torch.equal(augmented(given, drawn), augmented(moved, {"cutout": drawn["cutout"]}))
    assert ((augmented(given, drawn) == 0) | (augmented(given, drawn) == moved)).all()


# Mixup


def test_an_example_is_mixed_with_the_next_one_of_its_batch_and_the_last_with_the_first():
    given = torch.tensor([[[0.0], [10.0], [100.0]], [[1.0], [2.0], [4.0]]])
    shares = {"mixup": torch.tensor([0.75, 0.5])}
    found = augmented(given, shares)
    assert found.squeeze(2).tolist() == [[2.5, 32.5, 75.0], [1.5, 3.0, 2.5]]
    others, own = mixed(torch.tensor([[0, 1, 2], [3, 4, 5]]), shares)
    assert others.tolist() == [[1, 2, 0], [4, 5, 3]]
    assert own.tolist() == [0.75, 0.5]


def test_without_mixup_targets_are_their_own():
    assert mixed(torch.zeros(1, 4), now(lane(flip=0.5))) is None


def test_a_share_of_one_leaves_examples_as_they_are_bit_for_bit():
    given = torch.randn(1, 4, 6)
    assert torch.equal(augmented(given, {"mixup": torch.ones(1)}), given)


def test_mixed_targets_of_a_regression_keep_their_shape():
    others, _ = mixed(torch.arange(3.0).view(1, 3, 1), {"mixup": torch.ones(1)})
    assert others.tolist() == [[[1.0], [2.0], [0.0]]]


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 5])
def test_shares_are_drawn_from_the_beta_distribution_one_a_batch(alpha):
    drawn = table(lane(mixup=alpha), steps=4000)["mixup"]
    assert drawn.shape == (4000, 1)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.double().var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("alpha", [1e-300, 1e-12, 1e6])
def test_shares_are_numbers_for_any_mixup(alpha):
    drawn = table(lane(mixup=alpha), steps=50)["mixup"]
    assert ((drawn >= 0) & (drawn <= 1)).all()


# All together


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 4, 9), (2, 1, 1)])
def test_all_kinds_together_are_one_after_the_other_shift_flip_cutout_mixup(shape):
    drawn, given = now(lane(3, **ALL), lane(4, **ALL), shape=shape), images(lanes=2, shape=shape)
    one_by_one = given
    for kind in ("shift", "flip", "cutout", "mixup"):
        one_by_one = augmented(one_by_one, {kind: drawn[kind]})
    assert torch.equal(augmented(given, drawn), one_by_one)


def test_nothing_is_drawn_and_nothing_done_where_no_kind_is_on():
    assert table(lane()) == {}
    given = images()
    assert augmented(given, {}) is given


def test_the_examples_themselves_are_left_as_they_were():
    given = images()
    before = given.clone()
    augmented(given, now(lane(**ALL)))
    assert torch.equal(given, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_keep_their_precision(dtype):
    assert augmented(images().to(dtype), now(lane(**ALL))).dtype == dtype


def test_the_table_has_the_shapes_that_it_tells():
    shapes = {name: tuple(column.shape) for name, column in table(lane(**ALL), lane(1, **ALL), lane(2, **ALL)).items()}
    assert shapes == {"flip": (3, 3, 4), "shift": (3, 3, 4, 2), "cutout": (3, 3, 4, 2, 2), "mixup": (3, 3)}


# Where the numbers come from


@pytest.mark.parametrize("kind", DRAWS)
def test_a_kinds_draws_depend_on_the_lanes_stream_and_epoch_alone(kind):
    on = {kind: ALL[kind]}
    alone = table(lane(7, fold=1, seed=5, epoch=3, **on))[kind][:, 0]
    neighbours = [lane(2, **ALL), lane(7, fold=1, seed=5, epoch=3, **ALL), lane(9, **ALL)]
    assert torch.equal(table(*neighbours)[kind][:, 1], alone)
    others = [lane(7, 1, 5, 4, **on), lane(7, 1, 6, 3, **on), lane(7, 0, 5, 3, **on), lane(6, 1, 5, 3, **on)]
    for other in others:
        assert not torch.equal(table(other)[kind][:, 0], alone)


def test_each_step_and_each_image_has_its_own():
    drawn = table(lane(flip=0.5, shift=9, cutout=3, mixup=1.0), steps=8, batch=40, shape=(1, 30, 30))
    for name in OF_IMAGES:
        assert len({str(step.tolist()) for step in drawn[name]}) == 8
    assert len(set(drawn["mixup"].flatten().tolist())) == 8
    assert len({tuple(offset) for offset in drawn["shift"][0, 0].tolist()}) > 30


def test_drawing_leaves_torchs_and_numpys_generators_as_they_were():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    augmented(images(), now(lane(**ALL)))
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_a_lane_without_a_kind_beside_one_that_has_it_is_left_as_it_is():
    given = images(lanes=2)
    found = augmented(given, now(lane(0), lane(1, **ALL)))
    assert torch.equal(found[0], given[0])
    assert not torch.equal(found[1], given[1])


# Who shares a stack, and who may have it


@pytest.fixture(scope="module")
def bench():
    return Trainer("convnet", (torch.randn(30, 1, 4, 4), [0, 1] * 15)).bench(Job(0, None, True, "cpu"))


def test_lanes_share_a_stack_if_they_have_the_same_kinds_on_whatever_their_values(bench):
    network = torch.nn.Linear(2, 2)

    def name(**settings):
        return name_of(bench, Recipe(**settings), network)

    values = {**ALL, "class_weights": "balanced"}
    assert set(values) == set(ALTERATIONS)
    names = {name(), *(name(**{kind: value}) for kind, value in values.items()), name(**values)}
    assert len(names) == 7
    assert name(flip=0.5, shift=1) == name(flip=0.1, shift=4) != name(flip=0.5)
    assert name(flip=0.0, shift=0, mixup=0, class_weights="equal") == name()


def test_the_scheduler_groups_trials_by_the_kinds_that_are_on():
    trainer = Trainer("convnet", (torch.randn(30, 1, 4, 4), [0, 1] * 15))

    def structure(**params):
        return trainer.structure({"depth": 2, "flip": 0.0, "mixup": 0.0, "class_weights": "equal", **params})

    assert structure(flip=0.5) == structure(flip=0.2) != structure()
    assert structure(class_weights="balanced") != structure() != structure(mixup=1.0)


@pytest.mark.parametrize("kind", OF_IMAGES)
@pytest.mark.parametrize("searched", [False, True])
def test_what_only_images_can_have_is_refused_for_tables_before_any_trial(kind, searched):
    data = torch.randn(30, 6), [0, 1] * 15
    trainer = Trainer("mlp", data) if searched else Trainer("mlp", data, **{kind: ALL[kind]})
    space = Space(depth=Int(1, 2), **({kind: Choice([0, ALL[kind]])} if searched else {}))
    (problem,) = trainer.check(space, None, seed=0)
    assert problem.where == ("trainer", kind)
    assert problem.text == f"`{kind}` is for images, but an example's shape is (6,)"


def test_mixup_is_for_tables_too_and_every_kind_for_images_of_one_channel_without_a_dimension_for_it():
    table = torch.randn(30, 6), [0, 1] * 15
    assert Trainer("mlp", table, mixup=0.4).check(Space(depth=1), None, seed=0) == []
    grey = torch.randn(30, 5, 7), [0, 1] * 15
    assert Trainer("convnet", grey, **ALL).check(Space(depth=1), None, seed=0) == []


def test_lanes_of_a_fold_have_draws_of_their_own():
    one, other = (table(replace(lane(**ALL), stream=Stream(0, 0, fold))) for fold in (0, 1))
    assert not any(torch.equal(one[kind], other[kind]) for kind in DRAWS)


def test_trials_that_are_altered_in_every_way_are_the_same_alone_and_in_lanes(tmp_path):
    space = Space(
        flip=Choice([0.0, 0.5]),
        mixup=Choice([0.0, 0.4]),
        shift=Int(0, 1),
        cutout=Int(0, 2),
        class_weights=Choice(["equal", "balanced"]),
        label_smoothing=Float(0.0, 0.3),
    )
    targets = [0] * 12 + [1] * 24 + [2] * 36
    inputs = torch.randn(72, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    inputs += torch.tensor(targets)[:, None, None, None]
    studies = [
        Study(
            f"lanes-{lanes}",
            space,
            Trainer("convnet", (inputs, targets), epochs=2, batch_size=16),
            metric="cross_entropy",
            strategy="random",
            executor="inline",
            plan="fused",
            lanes=lanes,
            storage=tmp_path,
            mlflow=None,
        ).run(trials=8, progress=False)
        for lanes in (1, 4)
    ]
    alone, beside = ([(trial.params, trial.curve, trial.state) for trial in study.trials] for study in studies)
    assert alone == beside
    assert {plan["stack"] for plan in studies[1].attribute("plans").values()} == {"fused"}
    assert len(studies[1].attribute("plans")) > 2
