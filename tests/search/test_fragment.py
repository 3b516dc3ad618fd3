"""`leadline best --yaml`: what it prints is pasted into a study file, and trains that configuration."""

import json

import pytest
from ruamel.yaml import YAML

import leadline as ll
from leadline.search.config import read, study_from
from leadline.search.fragment import fragment

# Numbers, and text that looks like something else, by YAML 1.1 or 1.2.
HARD = [0.0001, 1e-05, 1e22, -0.0, 2.0, 3, True, None, "1e-4", "12", "true", "null", "~", "", "a: b # c", "on", "0x1f"]


def pasted(text, folder, **changed):
    """Returns the study of a file whose space and trainer are these, checked."""
    settings = {"study": "pasted", "data": "digits", "model": "mlp", "strategy": "grid", "mlflow": None, **changed}
    (folder / "pasted.yaml").write_text("".join(f"{key}: {json.dumps(it)}\n" for key, it in settings.items()) + text)
    return study_from(*read(folder / "pasted.yaml"))[0]


def test_every_value_comes_back_as_what_it_was(tmp_path):
    space = ll.Space({f"p{place}": value for place, value in enumerate(HARD)} | {"null": ll.Choice(["1e-5"])})
    study = ll.Study("any", space, storage=tmp_path, mlflow=None).run(lambda trial: 1.0, trials=1, progress=False)
    text = fragment(study, study.best)
    back = YAML(typ="safe").load(text)["space"]
    assert back == study.best.params
    assert [type(back[name]) for name in back] == [type(value) for value in study.best.params.values()]
    (tmp_path / "file.yaml").write_text(text)
    ours = read(tmp_path / "file.yaml")[0]["space"]
    assert repr(ours) == repr(study.best.params)


def test_floats_are_floats_for_readers_of_the_older_yaml_too(tmp_path):
    study = ll.Study("any", ll.Space(lr=1e-05, x=ll.Int(1, 1)), storage=tmp_path, mlflow=None)
    text = fragment(study, study.run(lambda trial: 1.0, trials=1, progress=False).best)
    assert "lr: 1.0e-05\n" in text
    old = YAML(typ="safe")
    old.version = (1, 1)
    assert old.load(text)["space"]["lr"] == 1e-05


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_pasted_into_a_study_file_it_trains_that_configuration(tmp_path, optimizer):
    space = ll.Space(
        depth=ll.Int(1, 2),
        feature_maps=8,
        optimizer=ll.Choice(["sgd", "adamw"]),
        momentum=ll.Float(0.0, 0.9, when={"optimizer": "sgd"}),
        lr=ll.Float(1e-5, 1e-1, log=True),
        batch_norm=ll.Choice([True, False]),
    )
    trainer = ll.Trainer("mlp", data="digits", epochs=2, clip_norm=1.5, parts=(8, 1, 1))
    study = ll.Study("wide", space, trainer, storage=tmp_path, mlflow=None, executor="inline", strategy="random")
    study.enqueue({"optimizer": optimizer, "lr": 1e-05}).run(trials=1, progress=False)
    again = pasted(fragment(study, study.best), tmp_path, executor="inline", storage=str(tmp_path / "b"))
    assert again.space.fixed == study.best.params
    assert again.trainer.describe() == trainer.describe()
    again.run(progress=False)
    (trial,) = again.trials
    assert trial.params == study.best.params
    assert trial.curve == study.best.curve  # the same seed and number: the same training


def test_what_only_a_script_knows_is_named_and_left_out(tmp_path):
    def loss(outputs, targets):
        return ((outputs - targets) ** 2).mean()

    trainer = ll.Trainer("mlp", data=([[0.0], [1.0]] * 30, [0.1, 0.2] * 30), epochs=1, loss=loss)
    study = ll.Study("mine", ll.Space(depth=ll.Int(1, 1)), trainer, storage=tmp_path, mlflow=None)
    text = fragment(study, study.run(trials=1, progress=False).best)
    assert "# `loss` is known to the study's own script alone\n" in text
    assert YAML(typ="safe").load(text)["trainer"] == {"epochs": 1}
