import os

import numpy as np
import pytest
from PIL import Image

from leadline.errors import DataError
from leadline.trainers.data import load, prepare, split
from leadline.trainers.data.readers.images import read_images

RANDOM = np.random.default_rng(0)


def picture(seed=0, height=4, width=5, channels=3):
    shape = (height, width) if channels == 1 else (height, width, channels)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write(folder, classes=("cat", "dog"), each=3, suffix=".png", **picture_options):
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            picture(10 * place + number, **picture_options).save(folder / name / f"{number}{suffix}")
    return folder


def test_each_folder_is_a_class_of_colour_images_with_channels_first(tmp_path):
    data = load(write(tmp_path / "pets"))
    assert (data.name, data.inputs.shape, data.inputs.dtype) == ("pets", (6, 3, 4, 5), np.uint8)
    assert (data.targets.tolist(), data.classes, data.test) == ([0, 0, 0, 1, 1, 1], ("cat", "dog"), 0)
    assert np.array_equal(data.inputs[4], np.moveaxis(np.asarray(picture(11)), 2, 0))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("nowhere")], ids=["pipe", "link"])
def test_what_is_no_file_in_a_classs_folder_is_refused_and_not_waited_for(tmp_path, make):
    folder = write(tmp_path / "pets")
    make(folder / "cat" / "z.png")
    with pytest.raises(DataError, match=r"z\.png: neither a file nor a folder"):
        load(folder)


def test_grey_images_have_one_channel_and_among_colours_three(tmp_path):
    write(tmp_path / "grey", channels=1)
    assert load(tmp_path / "grey").inputs.shape == (6, 1, 4, 5)
    picture(channels=3).save(tmp_path / "grey" / "cat" / "x.png")
    mixed = load(tmp_path / "grey").inputs
    assert mixed.shape == (7, 3, 4, 5)
    assert np.array_equal(mixed[0], np.broadcast_to(np.asarray(picture(0, channels=1)), (3, 4, 5)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".ppm"])
def test_usual_formats_are_read(tmp_path, suffix):
    assert load(write(tmp_path, suffix=suffix, height=8, width=8)).inputs.shape == (6, 3, 8, 8)


@pytest.mark.parametrize(
    ("image", "channels", "first"),
    [
        (Image.fromarray(np.full((4, 5), 65535, np.uint16)), 1, 255),
        (Image.fromarray(np.full((4, 5), 258, np.uint16)), 1, 1),
        (Image.new("1", (5, 4), 1), 1, 255),
        (Image.new("LA", (5, 4), (7, 0)), 1, 7),
        (Image.new("RGBA", (5, 4), (7, 8, 9, 0)), 3, 7),
        (Image.new("P", (5, 4), 0), 3, 0),
    ],
)
@pytest.mark.parametrize("size", [None, [2, 3]])
def test_other_kinds_of_pixels_become_bytes(tmp_path, image, channels, first, size):
    options = {"transparency": bytes([3, 255])} if image.mode == "P" else {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "0.png", **options)
    images = load(tmp_path, size=size).inputs
    assert images.shape == (2, channels, *(size or (4, 5)))
    assert images[0, 0, 0, 0] == first


def test_train_and_test_folders_bring_a_test_set(tmp_path):
    write(tmp_path / "train", each=4)
    write(tmp_path / "test", each=1)
    data = load(tmp_path)
    assert (len(data), data.test, data.classes) == (10, 2, ("cat", "dog"))
    write(tmp_path / "val", each=2)
    data = load(tmp_path)
    assert (len(data), data.test) == (14, 2)


def test_without_test_the_validation_images_are_the_test_set(tmp_path):
    write(tmp_path / "train", each=4)
    write(tmp_path / "valid", each=1)
    assert load(tmp_path).test == 2


def test_a_class_may_be_called_test(tmp_path):
    assert load(write(tmp_path, classes=("control", "test"))).classes == ("control", "test")


def test_hidden_files_and_text_beside_the_classes_are_passed_over_and_deeper_folders_are_read(tmp_path):
    write(tmp_path)
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "cat" / "more").mkdir()
    picture(9).save(tmp_path / "cat" / "more" / "9.png")
    assert np.bincount(load(tmp_path).targets).tolist() == [4, 3]


@pytest.mark.parametrize(("size", "shape"), [(6, (6, 6)), ([3, 7], (3, 7)), ((64, 80), (64, 80))])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_size_resizes_images_of_any_size(tmp_path, size, shape, suffix):
    write(tmp_path, height=40, width=50, suffix=suffix)
    picture(3, 64, 80).save(tmp_path / "cat" / f"large{suffix}")
    assert load(tmp_path, size=size).inputs.shape == (7, 3, *shape)


def test_one_colour_stays_that_colour_when_resized(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (50, 40), (10, 20, 30)).save(tmp_path / name / "0.png")
    assert load(tmp_path, size=7).inputs[0, :, 3, 3].tolist() == [10, 20, 30]


def test_images_are_a_memory_map_of_the_cache_made_once(tmp_path, cache, monkeypatch):
    first = load(write(tmp_path))
    (path,) = cache.iterdir()
    assert isinstance(first.inputs.base if not isinstance(first.inputs, np.memmap) else first.inputs, np.memmap)
    monkeypatch.setattr("leadline.trainers.data.readers.images._decode", None)
    assert load(tmp_path).digest == first.digest
    assert list(cache.iterdir()) == [path]


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"", lambda content: b"x" * 200])
def test_a_damaged_file_in_the_cache_is_made_anew(tmp_path, cache, damage):
    first = load(write(tmp_path))
    digest = first.digest
    (path,) = cache.iterdir()
    content = path.read_bytes()
    os.replace(_copy(path, damage(content)), path)
    assert load(tmp_path).digest == digest
    assert path.read_bytes() == content


def _copy(path, content):
    path.with_suffix(".other").write_bytes(content)
    return path.with_suffix(".other")


def test_another_image_size_or_order_is_another_file_in_the_cache(tmp_path, cache):
    write(tmp_path)
    digests = {load(tmp_path).digest, load(tmp_path, size=5).digest}
    picture(99).save(tmp_path / "cat" / "0.png")
    digests.add(load(tmp_path).digest)
    assert (len(digests), len(list(cache.iterdir()))) == (3, 3)


def test_leftovers_of_killed_writers_are_swept_after_a_day(tmp_path, cache):
    cache.mkdir()
    for name, age in (("old.tmp", 100_000), ("new.tmp", 10)):
        (cache / name).write_bytes(b"x")
        moment = (cache / name).stat().st_mtime - age
        os.utime(cache / name, (moment, moment))
    load(write(tmp_path))
    assert {path.name for path in cache.glob("*.tmp")} == {"new.tmp"}


def test_a_cache_that_cannot_be_written_is_told_with_the_fix(tmp_path, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"leadline: the cache of 0 MiB can't be written: .*Set XDG_CACHE_HOME"):
        load(write(tmp_path))


def test_a_failed_reading_leaves_nothing_in_the_cache(tmp_path, cache):
    write(tmp_path)
    broken = tmp_path / "cat" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1\.png: the image can't be decoded"):
        load(tmp_path)
    assert list(cache.iterdir()) == []


def test_more_images_than_two_blocks_keep_their_order(monkeypatch):
    monkeypatch.setattr("leadline.trainers.data.readers.images._BLOCK", 2)
    monkeypatch.setattr("leadline.trainers.data.readers.images._BYTES", 180)
    monkeypatch.setattr("leadline.trainers.data.readers.images._threads", lambda: 1)
    contents = [_png(picture(place)) for place in range(7)]
    images = read_images([str(place) for place in range(7)], lambda at: contents[at])
    assert all(np.array_equal(images[at], np.moveaxis(np.asarray(picture(at)), 2, 0)) for at in range(7))


def _png(image):
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_images_are_ready_to_be_split_and_prepared(tmp_path):
    data = load(write(tmp_path, each=6))
    assert prepare(data, split(data, seed=0)).in_shape == (3, 4, 5)


@pytest.mark.parametrize("size", [0, 9000, -1, [4], [4, 5, 6], "4", [4, 5.5], 4.5, True])
def test_a_size_that_is_none_is_refused(tmp_path, size):
    with pytest.raises(DataError, match=r"`size` must be a number from 1 to 8192, or \[height, width\]"):
        load(write(tmp_path), size=size)


def test_options_of_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="Only tables take `group`"):
        load(write(tmp_path), group="x")
    with pytest.raises(DataError, match="Only image folders take `size`"):
        load("digits", size=4)


def test_images_are_for_classification(tmp_path):
    with pytest.raises(DataError, match="is a data set for classification, not regression"):
        load(write(tmp_path / "pets"), task="regression")
