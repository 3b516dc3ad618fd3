"""Every format gives back the model that was saved, card and all; what can't be exported is told why."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

import leadline as ll
from leadline.errors import SettingsError
from leadline.trainers.data import Preparation
from leadline.trainers.disk import unfinished
from leadline.trainers.models import FORMATS, Member, Model, Predictor, load_model, save

from .conftest import SOURCES

Make = Callable[..., Model]


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    return needed(request.param)


def needed(format: str) -> str:
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason="no ONNX here: pip install -e '.[onnx]'")
    return format


def file(folder: Path, format: str) -> Path:
    return folder / f"model{FORMATS[format].suffix}"


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("grey images", {"name": "convnet"}),
        ("images", {"name": "resnet", "depth": 8}),
        ("seconds", {"classes": None}),
        ("table", {"networks": 2}),
    ],
)
def test_what_is_loaded_answers_as_what_was_saved(
    make: Make, tmp_path: Path, format: str, source: str, options: dict[str, Any]
) -> None:
    model = make(source, **options)
    path = save(model, file(tmp_path, format))
    loaded, right = load_model(path), model.predict(SOURCES[source])
    scale = 1.0 if loaded.classes else 1e6
    for rows in (slice(None), slice(0, 1), slice(0, 7)):
        assert np.abs(loaded.predict(SOURCES[source][rows]) - right[rows]).max() <= 1e-5 * scale
    assert loaded.classes == model.classes
    assert {name: loaded.card[name] for name in model.card} == json.loads(json.dumps(model.card))
    assert loaded.card["format"] == format
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "classes"), [("grey images", ("ant", "bee", "cat")), ("table", ("no", "yes")), ("seconds", None)]
)
def test_the_lines_in_the_card_run_as_they_stand_and_answer_as_predict_does(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    source: str,
    classes: tuple[str, ...] | None,
) -> None:
    model = make(source, classes=classes, dropout=0.5)
    inputs = model.inputs.taken(SOURCES[source])
    lines = load_model(save(model, file(tmp_path, format))).card["usage"]
    monkeypatch.chdir(tmp_path)
    for part in (lines, lines.partition("# or the network alone")[0]):
        names = {"inputs": inputs}
        exec(part, names)
        answers = torch.as_tensor(names["answers"]).detach().numpy()
        np.testing.assert_allclose(answers, model.predict(inputs), rtol=1e-5, atol=1e-6)


def test_inputs_are_prepared_for_a_network_alone_and_for_no_other_model(make: Make, tmp_path: Path) -> None:
    model, inputs = make("table"), SOURCES["table"]
    (described,) = model.card["networks"]
    prepared = Preparation.from_description(described["preparation"]).apply(inputs)
    assert torch.equal(model.prepared(inputs), prepared)
    for other in (make("table", networks=2), load_model(save(model, tmp_path / "model.pt2"))):
        with pytest.raises(SettingsError, match="only a model of one network, not a program"):
            other.prepared(inputs)


def test_a_program_needs_nothing_but_torch(make: Make, tmp_path: Path) -> None:
    model = make("grey images")
    path = save(model, tmp_path / "model.pt2")
    extra = {"card.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    inputs = torch.from_numpy(SOURCES["grey images"])
    assert torch.allclose(program(inputs), torch.from_numpy(model.predict(inputs)), atol=1e-6)
    assert json.loads(extra["card.json"])["classes"] == ["ant", "bee", "cat"]


def test_an_onnx_file_has_named_ends_a_dynamic_batch_and_the_classes(make: Make, tmp_path: Path) -> None:
    needed("onnx")
    import onnxruntime

    path = save(make("grey images"), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path)
    (given,), (told,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("inputs", "tensor(uint8)", ["n", 8, 8])
    assert (told.name, told.shape) == ("probabilities", ["n", 3])
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["ant", "bee", "cat"]


def test_exporting_says_nothing_but_what_it_returns_or_raises(make: Make, tmp_path: Path) -> None:
    needed("onnx")
    np.save(tmp_path / "inputs.npy", SOURCES["numbers"])
    script = """
import numpy, sys, torch, leadline as ll
from leadline.trainers.data import Preparation
from leadline.trainers.models import Member, Model, Predictor, save
from leadline.trainers.models.inputs import InputSpec
preparation = Preparation.fit(numpy.load("inputs.npy"))
class Choosing(torch.nn.Linear):
    def forward(self, inputs):
        outputs = super().forward(inputs)
        return outputs if outputs.sum().item() > 0 else -outputs
described = {"model": "mlp", "arguments": {}, "in_shape": [5], "outputs": 2}
card = {"classes": ["a", "b"], "inputs": InputSpec.of(preparation).describe(), "networks": [described]}
for name in ("model.onnx", "model.pt2"):
    save(Model(Predictor([Member(torch.nn.Linear(5, 2), preparation)]), card), name)
    try:
        save(Model(Predictor([Member(Choosing(5, 2), preparation)]), card), name)
    except ll.SettingsError:
        continue
    raise AssertionError(name)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_weights_are_plain_files_with_the_card_inside(make: Make, tmp_path: Path) -> None:
    model = make("numbers")
    weights = model.program.networks[0].state_dict()
    found = torch.load(save(model, tmp_path / "model.pt"), weights_only=True)
    assert found["card"]["networks"] == model.card["networks"]
    assert all(torch.equal(found["state_dict"][name], weights[name]) for name in weights)
    with safe_open(save(model, tmp_path / "model.safetensors"), framework="pt") as file:
        assert json.loads(file.metadata()["card"])["classes"] == ["ant", "bee", "cat"]
        assert set(file.keys()) == set(weights)


def own(model: Model) -> Model:
    """Returns the model as if a function of the user's had built its network."""
    for described in model.card["networks"]:
        described["model"] = "mine:build"
    return model


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_network_of_ones_own_is_built_by_the_function_that_is_given(make: Make, tmp_path: Path, suffix: str) -> None:
    model = own(make("numbers"))
    path = save(model, tmp_path / f"model{suffix}")
    with pytest.raises(SettingsError, match=r"built by `mine:build`, which isn't in the file") as told:
        load_model(path)
    assert f"In Python give that function, load_model({str(path)!r}, build=...)" in str(told.value)
    assert "on the command line name the study, `leadline predict small FILES`" in str(told.value)

    def build(in_shape: tuple[int, ...], classes: int, depth: int, feature_maps: int) -> nn.Module:
        return ll.build("mlp", in_shape=in_shape, classes=classes, depth=depth, feature_maps=feature_maps)

    assert np.array_equal(load_model(path, build).predict(SOURCES["numbers"]), model.predict(SOURCES["numbers"]))
    with pytest.raises(SettingsError, match="aren't of the network that `build` makes"):
        load_model(path, lambda in_shape, classes, depth, feature_maps: nn.Linear(5, 4))


@pytest.mark.parametrize("format", ["torch-export", "onnx"])
def test_a_program_of_ones_own_network_needs_no_function(make: Make, tmp_path: Path, format: str) -> None:
    path = save(own(make("numbers")), file(tmp_path, needed(format)))
    assert load_model(path).predict(SOURCES["numbers"]).shape == (40, 3)


class Choosing(nn.Module):
    """A network whose way depends on its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(inputs)
        return outputs if float(inputs.sum()) > 0 else -outputs


class OfTwo(nn.Module):
    """A network that is another one for batches of an odd size."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.last(inputs)
        return outputs * 3 if len(inputs) % 2 else outputs


@pytest.mark.parametrize("format", ["torch-export", "onnx"])
@pytest.mark.parametrize("network", [Choosing, OfTwo])
def test_a_network_that_cant_be_exported_is_told_why_and_which_formats_work(
    make: Make, tmp_path: Path, network: type[nn.Module], format: str
) -> None:
    card = make("numbers").card
    model = Model(Predictor([Member(network(), Preparation.fit(SOURCES["numbers"]))]), card)
    with pytest.raises(SettingsError, match=rf"can't be exported as `{needed(format)}`: .*`safetensors` take any"):
        save(model, file(tmp_path, format))
    assert list(tmp_path.iterdir()) == []
    assert save(model, tmp_path / "model.pt").exists()


def test_tied_weights_are_saved_and_loaded(make: Make, tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
            self.two.weight = self.one.weight

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.last(self.two(self.one(inputs)))
            return outputs

    card = own(make("numbers")).card
    model = Model(Predictor([Member(Tied(), Preparation.fit(SOURCES["numbers"]))]), card)
    path = save(model, tmp_path / "model.safetensors")
    loaded = load_model(path, lambda in_shape, classes, depth, feature_maps: Tied())
    assert np.array_equal(loaded.predict(SOURCES["numbers"]), model.predict(SOURCES["numbers"]))


@pytest.mark.parametrize("name", ["model.bin", "model", "model.pth"])
def test_a_file_of_another_suffix_is_none_of_ours(make: Make, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.pt2 \(torch-export\), \.onnx \(onnx\)"):
        save(make("numbers"), tmp_path / name)


def test_wrong_formats_suffixes_and_files_are_told(make: Make, tmp_path: Path) -> None:
    model = make("numbers")
    with pytest.raises(SettingsError, match=r"no format is called `onxx`\. Did you mean `onnx`"):
        save(model, tmp_path / "model.onnx", "onxx")
    with pytest.raises(SettingsError, match=r"a file of the format `torch` ends in \.pt$"):
        save(model, tmp_path / "model.pt2", "torch")
    (tmp_path / "taken").touch()
    with pytest.raises(SettingsError, match="can't be written"):
        save(model, tmp_path / "taken" / "model.pt")
    with pytest.raises(SettingsError, match="there is no such file"):
        load_model(tmp_path / "none.pt")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("name", ["model.pt2", "model.pt", "model.safetensors"])
def test_a_full_disk_is_told_and_leaves_nothing(make: Make, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    unfinished(path).symlink_to("/dev/full")
    with pytest.raises(SettingsError, match=f"{name} can't be written: No space left on device"):
        save(make("numbers"), path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_foreign_file_is_refused(make: Make, tmp_path: Path, format: str) -> None:
    path = save(make("numbers"), file(tmp_path, format))
    whole = path.read_bytes()
    for content in (b"", b"nothing of the kind", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match="damaged, or isn't one that `leadline export` wrote"):
            load_model(path)


def test_of_a_damaged_program_torch_logs_nothing(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(make("numbers"), tmp_path / "model.pt2")
    path.write_bytes(path.read_bytes()[:1000])
    monkeypatch.setattr(logging.getLogger("torch"), "handlers", [caplog.handler])  # torch's own doesn't propagate
    with pytest.raises(SettingsError, match="damaged"):
        load_model(path)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    written = io.BytesIO()
    torch.save({"state_dict": {}, "card": subprocess.Popen}, written)
    (tmp_path / "model.pt").write_bytes(written.getvalue())
    with pytest.raises(SettingsError, match="damaged, or isn't one"):
        load_model(tmp_path / "model.pt")


def test_without_the_packages_of_onnx_the_extra_is_named(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SettingsError, match=r"needs the package `onnxscript`: pip install 'leadline\[onnx\]'"):
        save(make("numbers"), tmp_path / "model.onnx")


def test_what_was_loaded_cant_be_saved_in_another_format(make: Make, tmp_path: Path) -> None:
    program = load_model(save(make("numbers"), tmp_path / "model.pt2"))
    with pytest.raises(SettingsError, match="copy the file"):
        save(program, tmp_path / "model.onnx")
    weights = load_model(save(make("numbers"), tmp_path / "model.pt"))
    assert save(weights, tmp_path / "again.safetensors").exists()


def test_loading_needs_neither_optuna_nor_pandas(make: Make, tmp_path: Path) -> None:
    path = save(make("numbers"), tmp_path / "model.pt")
    np.save(tmp_path / "inputs.npy", SOURCES["numbers"])
    script = """
import sys
sys.modules.update(dict.fromkeys(("optuna", "mlflow", "pydantic", "pandas", "sklearn", "rich", "typer", "scipy")))
import numpy, leadline
print(leadline.load_model(sys.argv[1]).predict(numpy.load(sys.argv[2])).shape)
"""
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "inputs.npy")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "(40, 3)\n"
