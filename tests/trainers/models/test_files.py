"""Predictions for files: images, arrays, tables, and what is wrong with them by file and row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leadline.errors import DataError
from leadline.trainers.models import Model
from leadline.trainers.models.files import predict_files

from .conftest import SOURCES

Make = Callable[..., Model]
TABLE, GREY, COLOUR = SOURCES["table"], SOURCES["grey images"], SOURCES["images"]


def answers(model: Model, *paths: Path) -> Any:
    return np.stack([one.answer for one in predict_files(model, paths)])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_a_tables_file_is_read_as_the_training_table_was(make: Make, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"people{suffix}"
    table = TABLE.assign(label="ant", id=range(40))
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    found = list(predict_files(make("table"), [path]))
    assert [(one.file, one.row) for one in found] == [(path, row) for row in range(40)]
    assert np.allclose(np.stack([one.answer for one in found]), make("table").predict(TABLE), atol=1e-6)


def test_text_that_looks_like_numbers_in_a_few_rows_stays_text(make: Make, tmp_path: Path) -> None:
    few = TABLE[TABLE["job"].isin(["007", "12"])].head(3)
    few.to_csv(tmp_path / "few.csv", index=False)
    assert np.allclose(answers(make("table"), tmp_path / "few.csv"), make("table").predict(few), atol=1e-6)


def test_categories_that_training_hadnt_are_told_in_a_line_and_taken_as_missing(make: Make, tmp_path: Path) -> None:
    model, told = make("table"), []
    odd, gaps = TABLE.head(6).astype({"tall": object}), TABLE.head(6).astype({"tall": object})
    odd["job"] = ["clerk", "d", "c", "b", "a", None]
    odd.loc[3, "tall"] = "perhaps"
    gaps["job"] = ["clerk", None, None, None, None, None]
    gaps.loc[3, "tall"] = None
    for name, table in (("known", TABLE), ("odd", odd), ("gaps", gaps)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = [tmp_path / "known.csv", tmp_path / "odd.csv"]
    found = [one.answer for one in predict_files(model, paths, told.append)]
    jobs, tall = "`job` has 'a', 'b', 'c' and 1 more", "`tall` has 'perhaps'"
    assert told == [f"{paths[1]}: {jobs}, {tall}: not among training's categories, so taken as missing"]
    assert np.array_equal(np.stack(found[40:]), answers(model, tmp_path / "gaps.csv"))


def test_images_are_resized_and_made_grey_as_those_of_training(make: Make, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8))
    picture.save(tmp_path / "large.png")
    picture.resize((8, 8), Image.Resampling.BILINEAR).save(tmp_path / "small.png")
    Image.fromarray(GREY[0]).save(tmp_path / "grey.png")
    model = make("images")
    large, small = answers(model, tmp_path / "large.png", tmp_path / "small.png")
    assert np.array_equal(large, small)
    (grey,) = answers(make("grey images"), tmp_path / "grey.png")
    assert np.allclose(grey, make("grey images").predict(GREY[:1])[0])
    assert np.allclose(answers(model, tmp_path / "grey.png"), model.predict(np.repeat(GREY[:1, None], 3, axis=1)))


def test_a_folder_is_all_its_images_in_order_whatever_else_lies_there(make: Make, tmp_path: Path) -> None:
    for place, name in enumerate(("b/2.png", "a.PNG", "b/1.bmp")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY[place]).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    found = list(predict_files(make("grey images"), [tmp_path]))
    assert [(one.file.relative_to(tmp_path).as_posix(), one.row) for one in found] == [
        ("a.PNG", None),
        ("b/1.bmp", None),
        ("b/2.png", None),
    ]
    assert np.allclose(np.stack([one.answer for one in found]), make("grey images").predict(GREY[[1, 2, 0]]))


def test_arrays_of_many_rows_or_of_one_example_are_read(make: Make, tmp_path: Path) -> None:
    model = make("images")
    np.save(tmp_path / "many.npy", COLOUR)
    np.save(tmp_path / "one.npy", COLOUR[3])
    np.savez_compressed(tmp_path / "alone.npz", whatever=COLOUR[:2])
    np.savez(tmp_path / "named.npz", images=COLOUR[:2], labels=np.arange(2))
    assert np.allclose(answers(model, tmp_path / "many.npy"), model.predict(COLOUR))
    assert np.allclose(answers(model, tmp_path / "one.npy"), model.predict(COLOUR[3:4]))
    for name in ("alone", "named"):
        assert np.allclose(answers(model, tmp_path / f"{name}.npz"), model.predict(COLOUR[:2]))


def test_files_of_several_kinds_come_in_their_order(make: Make, tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", GREY[:2])
    Image.fromarray(GREY[2]).save(tmp_path / "three.png")
    found = answers(make("grey images"), tmp_path / "three.png", tmp_path / "two.npy", tmp_path / "three.png")
    assert np.allclose(found, make("grey images").predict(GREY[[2, 0, 1, 2]]))


def test_answers_come_before_all_files_are_read(make: Make, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", GREY[:2])
    np.save(tmp_path / "bad.npy", GREY[:2, :4])
    found = predict_files(make("grey images"), [tmp_path / "good.npy", tmp_path / "bad.npy"])
    assert [next(found).row, next(found).row] == [0, 1]
    with pytest.raises(DataError, match=r"bad\.npy: Inputs must be of shape \(n, 8, 8\), but got \(2, 4, 8\)"):
        next(found)


def test_what_is_wrong_is_told_with_its_file(make: Make, tmp_path: Path) -> None:
    def problem(source: str, name: str, content: Any = None) -> str:
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            np.save(path, content)
        elif content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(DataError) as told:
            answers(make(source), path)
        assert str(told.value).startswith(str(path))
        return str(told.value)

    (tmp_path / "empty").mkdir()
    assert "no such file" in problem("table", "none.csv")
    assert "holds no image" in problem("images", "empty")
    assert "no image (PNG" in problem("images", "broken.png", "no image")
    assert "lacks columns that the training had: job" in problem(
        "table", "few.csv", "age,born,tall\n1,2000-01-01,True\n"
    )
    bad = "age,job,born,tall\n1,a,2000-01-01,True\n1,a,2000-01-01,True\nold,a,2000-01-01,True\n"
    assert "Column `age` must hold numbers as in training, but row 2 has 'old'" in problem("table", "bad.csv", bad)
    assert "takes tables" in problem("table", "x.npy", np.zeros((2, 3)))
    assert "takes .npy and .npz files of float64, (n, 5)." in problem("numbers", "x.csv", bad)
    assert "from 0 to 255, but the model was trained on float64" in problem("numbers", "x.png", "")
    assert "row 1 has 0.5" in problem("grey images", "half.npy", np.stack([np.zeros((8, 8)), np.full((8, 8), 0.5)]))
    assert "an .npy file of version 1 or 2 starts so" in problem("numbers", "no.npy", "no array")


def test_an_archive_in_which_several_arrays_could_be_meant_is_refused(make: Make, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", one=COLOUR, two=COLOUR)
    with pytest.raises(
        DataError, match=r"the archive's only array, or be called data, images, inputs, x, but .* one, two"
    ):
        answers(make("images"), tmp_path / "many.npz")
