"""Study files: what they may say, and how wrong ones are told."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import leadline as ll
from leadline.errors import SettingsError
from leadline.search.budget import Budget
from leadline.search.config import BUILT_IN, TRIALS, parse_override, read, study_from
from leadline.search.limits import Limits
from leadline.search.warm_start import WarmStart
from leadline.trainers.networks import SPACES

GOOD = """\
study: small
data: digits
model: mlp
space:
  depth: {int: [1, 2]}
  lr: {float: [1e-4, 1e-1], log: true}
"""
Write = Callable[[str | bytes], Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the study file, beside the working folder."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def study_of(path: Path, **overrides: Any) -> tuple[ll.Study, Any]:
    found, source = read(path, {tuple(name.split("__")): value for name, value in overrides.items()})
    return study_from(found, source)


def problems_of(path: Path, **overrides: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        study_of(path, **overrides)
    return [problem.text for problem in caught.value.problems]


class TestWhatAFileSays:
    def test_four_keys_suffice_and_the_rest_has_defaults(self, write: Write) -> None:
        study, file = study_of(write(GOOD))
        assert (study.name, study.strategy.name, study.seed, study.executor) == ("small", "bayes", 0, "processes")
        assert file.trials == TRIALS
        assert study.problems(budget=file.budget) == []

    def test_the_built_in_study_is_that_of_the_design(self) -> None:
        study, file = study_of(None)  # type: ignore[arg-type]
        assert study.name == "digits-convnet"
        assert study.space.names == ("depth", "feature_maps", "lr", "dropout", "weight_decay")
        assert (file.trials, study.strategy.name, file.pruner) == (60, "bayes", "asha")

    def test_the_built_in_text_is_a_file_like_any_other(self, write: Write) -> None:
        assert study_of(write(BUILT_IN))[0].describe() == study_of(None)[0].describe()  # type: ignore[arg-type]

    def test_a_grid_without_a_budget_runs_whole(self, write: Write) -> None:
        grid = GOOD.replace("{float: [1e-4, 1e-1], log: true}", "0.01") + "strategy: grid\n"
        assert study_of(write(grid))[1].trials is None

    def test_budgets_are_keys_and_one_that_may_never_end_gets_the_usual_trials(self, write: Write) -> None:
        text = GOOD + "device_hours: 1.5\ntotal_epochs: 900\ntarget: 0.98\nstall: 20\n"
        assert study_of(write(text))[1].budget == Budget(device_hours=1.5, total_epochs=900, target=0.98, stall=20)
        assert study_of(write(GOOD + "stall: 20\n"))[1].trials is None
        assert study_of(write(GOOD + "target: 0.98\n"))[1].trials == TRIALS

    def test_limits_are_sizes_of_a_network_and_may_be_overridden(self, write: Write) -> None:
        path = write(GOOD + "limits: {parameters: 2e6, memory: 8GB}\n")
        assert study_of(path)[0].limits == Limits(parameters=2_000_000, memory=8 * 10**9)
        study, _ = study_of(path, limits__parameters="1M", limits__flops=1e9)
        assert study.limits == Limits(parameters=10**6, memory=8 * 10**9, flops=10**9)
        assert study_of(write(GOOD), limits__memory="500MB")[0].limits == Limits(memory=5 * 10**8)

    def test_data_may_have_options_and_strategies_too(self, write: Write) -> None:
        text = GOOD + "strategy: {name: skopt-gp, startup: 5}\n"
        study, _ = study_of(write(text))
        assert study.strategy.options == {"startup": 5}

    @pytest.mark.parametrize(
        ("text", "studies", "first"),
        [("[a, b]", ("a", "b"), 3), ("{from: [a], first: 5}", ("a",), 5), ("{from: a, first: 0}", ("a",), 0)],
    )
    def test_earlier_studies_are_named(self, write: Write, text: str, studies: tuple[str, ...], first: int) -> None:
        path = write(f"{GOOD}warm_start: {text}\n")
        assert WarmStart.of(read(path)[0]["warm_start"]) == WarmStart(studies, first)
        told = problems_of(path)  # there are none
        assert len(told) == len(studies)
        for name, problem in zip(studies, told, strict=True):
            assert f"study.yaml:7: warm_start: there is no study `{name}` in" in problem

    def test_a_prior_is_a_guess_and_a_confidence(self, write: Write) -> None:
        text = GOOD.replace("log: true", "log: true, prior: {guess: 1e-3, confidence: 0.7}")
        assert study_of(write(text))[0].space.guesses == {"lr": 1e-3}

    @pytest.mark.parametrize("options", [{}, {"pruner": "asha", "seed": 7, "strategy": {"name": "grid", "points": 3}}])
    def test_a_file_of_what_a_study_describes_makes_the_same_study(self, write: Write, options: dict[str, Any]) -> None:
        space = ll.Space(
            depth=ll.Int(1, 5, step=2),
            feature_maps=16,
            optimizer=ll.Choice(["sgd", "adam"]),
            momentum=ll.Float(0.0, 0.9, step=0.3, when={"optimizer": "sgd"}),
            lr=ll.Float(1e-5, 0.1, log=True, prior=(1e-3, 0.7)),
        )
        study = ll.Study("again", space, ll.Trainer("mlp", data="digits", epochs=3, patience=2), **options)
        described = study.describe()
        trainer = described.pop("trainer")
        text = {
            "study": described.pop("name"), "model": trainer.pop("model"), "data": trainer.pop("data"),
            "trainer": trainer, **described,
        }  # fmt: skip
        read_back, _ = study_of(write(json.dumps(text)))
        assert read_back.describe() == study.describe()


class TestYamlTraps:
    @pytest.mark.parametrize("number", ["1e-4", "1.0e-4", "0.0001", "1E-4", "1.e-4"])
    def test_a_number_is_a_number_however_it_is_written(self, write: Write, number: str) -> None:
        study, _ = study_of(write(GOOD.replace("1e-4", number)))
        assert study.space.parameters["lr"].low == 1e-4  # type: ignore[attr-defined]

    def test_on_off_yes_and_no_are_text(self, write: Write) -> None:
        found, _ = read(write("a: on\nb: off\nc: yes\nd: no\ne: true\nf: 010\n"))
        assert found == {"a": "on", "b": "off", "c": "yes", "d": "no", "e": True, "f": 10}

    def test_null_a_tilde_and_nothing_are_none(self, write: Write) -> None:
        assert read(write("a: null\nb: ~\nc:\n"))[0] == {"a": None, "b": None, "c": None}

    def test_values_are_plain_python(self, write: Write) -> None:
        found, _ = read(write("a: 1.5\nb: 0x1F\nc: 'text'\nd: true\ne: [1, {f: 2}]\ng: |\n  long\n  text\n"))
        assert found == {"a": 1.5, "b": 31, "c": "text", "d": True, "e": [1, {"f": 2}], "g": "long\ntext\n"}

        def kinds(value: Any) -> set[type]:
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            return {type(value)}.union(*map(kinds, inner))

        assert kinds(found) == {dict, list, float, int, str, bool}

    def test_an_alias_stands_for_its_anchor_and_a_merge_for_its_keys(self, write: Write) -> None:
        assert read(write("a: &x {b: 1}\nc: *x\n"))[0]["c"] == {"b": 1}
        assert read(write("a: &x {b: 1}\nc:\n  <<: *x\n  d: 2\n"))[0]["c"] == {"b": 1, "d": 2}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("study: a\nstudy: b\n", r"study\.yaml:2: not valid YAML: .*duplicate key"),
            ("space:\n\tdepth: 3\n", r"study\.yaml:2: not valid YAML: .*"),
            ("study: [1, 2\n", r"study\.yaml:\d: not valid YAML"),
            ("study: 'a\n", r"study\.yaml:\d: not valid YAML"),
            ("a: *nowhere\n", r"study\.yaml:1: not valid YAML: .*nowhere"),
            ("a: !!python/object:os.system {}\n", r"study\.yaml"),
            ("a: 1\n---\nb: 2\n", r"study\.yaml:\d: not valid YAML"),
            ("", r"study\.yaml:1: a study file is a mapping"),
            ("# nothing\n", r"study\.yaml:1: a study file is a mapping"),
            ("- 1\n- 2\n", r"study\.yaml:1: a study file is a mapping"),
            ("just text\n", r"study\.yaml:1: a study file is a mapping"),
            ("3\n", r"study\.yaml:1: a study file is a mapping"),
            (b"\xff\xfe\x00", r"study\.yaml:1: not UTF-8 at byte 0"),
            ("a: 1\x00", r"study\.yaml"),
            ("a: [" * 60 + "]" * 60, r"study\.yaml.*"),
            ("[" * 5000, r"study\.yaml.*"),
            ("{a: " * 20_000 + "1" + "}" * 20_000, r"study\.yaml.*"),
            ("x" * 100_001, r"larger than 100,000 bytes"),
        ],
    )
    def test_what_is_no_study_file_is_told_in_one_line(self, write: Write, text: str | bytes, told: str) -> None:
        path = write(text)
        with pytest.raises(SettingsError, match=told) as caught:
            study_from(*read(path))
        assert all(len(line) < 400 for line in str(caught.value).splitlines())

    @pytest.mark.parametrize(
        "text", [":", "1: 2", "null: 3", "true: 4", "[1, 2]: 5", "{a: 1}: 5", "1.5: 6", "2024-01-01: 7"]
    )
    def test_a_key_that_is_no_text_is_told(self, write: Write, text: str) -> None:
        assert len(problems_of(write(GOOD + text + "\n"))) == 1
        problems_of(write(text))

    def test_a_folder_and_a_file_that_is_not_there_are_told(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere.yaml"):
            with pytest.raises(SettingsError, match=re.escape(str(path))):
                read(path)


class TestEveryProblemAtOnce:
    def test_each_with_its_line(self, write: Write, here: Path) -> None:
        text = """\
study: bad/name
data: digits
modle: mlp
model: mlp
space:
  depth: {int: [5, 1]}
  dropuot: {float: [0, 0.5]}
  lr:
    float: [0, 1]
    log: true
trainer:
  epochs: 0
  pateince: 3
strategy: byaes
pruner: ahsa
trials: -1
seed: x
"""
        told = problems_of(path := write(text))
        for line, words in (
            (1, "a study's name"),
            (3, "no key `modle`. Did you mean `model`?"),
            (6, "low=5, high=1"),
            (7, "`dropuot`. Did you mean `dropout`?"),
            (8, "low=0"),
            (12, "`epochs`"),
            (13, "`pateince`. Did you mean `patience`?"),
            (14, "Did you mean `bayes`?"),
            (15, "Did you mean `asha`?"),
            (16, "`trials > 0`"),
            (17, "`seed` must be an integer"),
        ):
            assert any(text.startswith(f"{path}:{line}: ") and words in text for text in told), (line, words, told)
        assert len(told) == 11
        assert list(here.iterdir()) == []

    def test_what_is_missing_is_named(self, write: Write) -> None:
        told = problems_of(write("trials: 3\n"))
        for key in ("study", "data", "model"):
            assert any(f"`{key}` is missing" in text for text in told)
        assert any("`space` is needed" in text for text in told)

    @pytest.mark.parametrize(
        "text", ["study: a\nmodel: mlp\n", "study: a\nmodel: [mlp]\n", "model: {a: 1}\ndata: digits\n"]
    )
    def test_what_is_missing_is_told_beside_what_is_wrong(self, write: Write, text: str) -> None:
        assert any("is missing" in text for text in problems_of(write(text)))

    def test_a_family_brings_a_space_of_its_own(self, write: Write) -> None:
        study, _ = study_from(*read(write("study: own\ndata: digits\nmodel: resnet\n")))
        assert study.space == SPACES["resnet"]()

    def test_the_built_in_study_with_another_family_searches_that_familys_space(self) -> None:
        study, _ = study_from(*read(None, {("model",): "mlp"}))
        assert study.space == SPACES["mlp"]()
        assert study.trainer is not None
        assert study.trainer.settings["patience"] == 5

    def test_kinds_are_told_in_words(self, write: Write) -> None:
        told = "\n".join(problems_of(write(GOOD + "trials: many\nminutes: [1]\nseed: 1.5\nmlflow: {a: 1}\n")))
        assert "`trials` must be an integer, but got 'many'" in told
        assert "`minutes` must be an integer or a number, but got [1]" in told
        assert "`seed` must be an integer, but got 1.5" in told

    def test_wrong_budgets_and_limits_are_told_with_their_lines(self, write: Write) -> None:
        told = problems_of(write(GOOD + "stall: 0\ntotal_epochs: 1.5\nlimits:\n  memory: 8 apples\n  paramters: 3\n"))
        assert len(told) == 4
        assert any(":7: " in text and "`stall > 0` must hold" in text for text in told)
        assert any(":8: " in text and "`total_epochs` must be an integer" in text for text in told)
        assert any(":10: " in text and "`memory` must be a size" in text for text in told)
        assert any(":11: " in text and "Did you mean `parameters`?" in text for text in told)

    def test_a_clusters_address_needs_the_executor_that_goes_there(self, write: Write) -> None:
        (told,) = problems_of(write(GOOD + "address: 10.0.0.1:6379\n"))
        assert told.endswith("`address` is a Ray cluster's: it goes with `executor: ray`")
        (told,) = problems_of(write(GOOD + "address: 127.0.0.1:1\nexecutor: ray\n"))
        assert "there is no Ray cluster at 127.0.0.1:1" in told

    def test_a_mapping_is_asked_for_in_words(self, write: Write) -> None:
        assert "`limits` must be a mapping, but got '8GB'" in "\n".join(problems_of(write(GOOD + "limits: 8GB\n")))

    def test_limits_that_leave_nothing_of_the_space_are_told_where_they_stand(self, write: Write) -> None:
        (told,) = problems_of(write(GOOD + "limits: {parameters: 5}\n"))
        assert ":7: " in told
        assert "of 64 random configurations none is within parameters <= 5" in told

    def test_a_parameter_that_nobody_takes_is_found_before_training(self, write: Write) -> None:
        told = problems_of(write(GOOD + "  wdith: 3\n"))
        assert len(told) == 1
        assert ":7: " in told[0]
        assert "neither the network nor the trainer takes `wdith`" in told[0]

    def test_values_that_a_recipe_refuses_are_found_in_the_space(self, write: Write) -> None:
        told = problems_of(write(GOOD + "  batch_size: {choice: [0, 32]}\n  optimizer: {choice: [adam, sdg]}\n"))
        assert any("batch_size" in text and ":7: " in text for text in told)
        assert any("sdg" in text and ":8: " in text for text in told)

    def test_a_network_that_can_not_be_built_at_an_end_of_the_space_is_told_with_the_models_line(
        self, write: Write
    ) -> None:
        (told,) = problems_of(write(GOOD.replace("mlp", "resnet").replace("{int: [1, 2]}", "{choice: [8, 9]}")))
        assert ":3: model: building the network for" in told

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("trials: 1" + 400 * "0", "`trials` is so large that it bounds nothing"),
            ("minutes: 1" + 400 * "0", "`minutes` is so large that it bounds nothing"),
            ('"\\ud800": 1', "half a character"),
            ('study: "\\ud800"', "half a character"),
            ('study: "\\U00110000"', "not valid YAML"),
            ("space: {depth: {int: [1, 100000000000000000000]}}", "an integer of at most 2**53"),
            ("space: {lr: {float: [0.001, 0.1], step: 1.0e-300}}", "more than 2**53 values"),
            ("space: {depth: {int: [1, 1000000000000]}}", "`depth <= 2000` must hold"),
        ],
    )
    def test_numbers_and_characters_beyond_all_bounds_are_told_with_their_line(
        self, write: Write, line: str, told: str
    ) -> None:
        key = line.partition(":")[0]
        others = GOOD[: GOOD.index("space:")] if key == "space" else GOOD
        (found,) = problems_of(write("\n".join([*(o for o in others.splitlines() if not o.startswith(key)), line])))
        assert told in found
        assert re.search(r"study.yaml:\d", found)

    @pytest.mark.parametrize(
        ("place", "value"),
        [
            ("model", None), ("model", True), ("model", ["mlp"]), ("model", ""), ("data", "a" * 300), ("data", []),
            ("data", {"path": None}), ("trainer__optimizer", []), ("trainer__loss", True), ("trainer__parts", 3),
            ("trainer__on_epoch", 3), ("strategy", {"name": []}), ("strategy", {"name": "bayes", "startup": "x"}),
            ("space", 3), ("trainer", None), ("metric", 3), ("device", []), ("trainer__precision", []),
        ],
    )  # fmt: skip
    def test_a_value_of_a_wrong_kind_is_told_too(self, write: Write, place: str, value: Any) -> None:
        assert problems_of(write(GOOD), **{place: value})

    def test_your_own_code_must_lie_beside_the_file(self, write: Write, tmp_path: Path) -> None:
        told = problems_of(write(GOOD.replace("model: mlp", "model: elsewhere_networks:build")))
        assert "there is no module `elsewhere_networks` in" in told[0]
        assert "--allow elsewhere_networks" in told[0]

    def test_an_error_of_your_own_module_is_told_as_it_is(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "broken_networks.py").write_text("import nothing_of_that_name\n")
        told = problems_of(write(GOOD.replace("model: mlp", "model: broken_networks:build")))
        assert "No module named 'nothing_of_that_name'" in told[0]


class TestSet:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("trials=5", (("trials",), 5)),
            ("trainer.lr=1e-3", (("trainer", "lr"), 0.001)),
            ("space.depth={int: [1, 3]}", (("space", "depth"), {"int": [1, 3]})),
            ("study=a=b", (("study",), "a=b")),
            ("trainer.patience=null", (("trainer", "patience"), None)),
            ("pruner=", (("pruner",), None)),
        ],
    )
    def test_the_value_is_yaml(self, text: str, wanted: Any) -> None:
        assert parse_override(text) == wanted

    @pytest.mark.parametrize("text", ["trials", "=3", " =3", "a=[1", "a={b", "a=*x"])
    def test_what_is_not_of_the_form_is_told(self, text: str) -> None:
        with pytest.raises(SettingsError, match="--set"):
            parse_override(text)

    def test_it_goes_before_the_file_and_makes_parts_that_are_not_there(self, write: Write) -> None:
        study, file = study_of(write(GOOD), trials=3, trainer__epochs=2, space__lr=0.1)
        assert (file.trials, study.space.fixed["lr"]) == (3, 0.1)
        assert study.trainer is not None
        assert study.trainer.epochs == 2

    @pytest.mark.parametrize("given", ["", "strategy: bayes\n", "strategy: {name: bayes, startup: 9}\n"])
    def test_an_option_of_a_strategy_goes_to_the_one_that_is_there_or_is_the_default(
        self, write: Write, given: str
    ) -> None:
        study, _ = study_of(write(GOOD + given), strategy__startup=4)
        assert study.strategy.describe() == {"name": "bayes", "startup": 4}

    def test_a_problem_of_an_override_is_told_as_one(self, write: Write) -> None:
        told = problems_of(write(GOOD), trainer__epochs=0)
        assert len(told) == 1
        assert told[0].startswith("--set trainer.epochs: ")

    def test_what_has_no_parts_is_told(self, write: Write) -> None:
        with pytest.raises(SettingsError, match=r"--set study\.a: `study` has no parts"):
            read(write(GOOD), {("study", "a"): 1})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
pieces = st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(pieces, inner, max_size=3), max_leaves=8
)
places = st.sampled_from(
    [
        *(["study"], ["data"], ["model"], ["space"], ["trainer"], ["metric"], ["direction"], ["strategy"], ["pruner"]),
        *(
            ["trials"],
            ["minutes"],
            ["target"],
            ["stall"],
            ["limits"],
            ["limits", "memory"],
            ["seed"],
            ["storage"],
            ["executor"],
            ["device"],
            ["workers"],
            ["lanes"],
            ["plan"],
        ),
        *(["keep"], ["mlflow"], ["space", "depth"], ["space", "lr"], ["space", "lr", "float"], ["space", "lr", "log"]),
        *(["space", "depth", "step"], ["space", "depth", "when"], ["space", "depth", "choice"], ["data", "path"]),
        *(["data", "label"], ["strategy", "name"], ["strategy", "points"], ["strategy", "startup"]),
        *(["trainer", key] for key in ("epochs", "lr", "optimizer", "patience", "parts", "checkpoint", "loss")),
        *(["trainer", key] for key in ("precision", "on_epoch", "batch_size", "momentum", "label_smoothing")),
    ]
)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)


@relaxed
@given(text=st.text() | st.binary())
@example(text=b":")
def test_no_text_raises_anything_but_a_settings_error(write: Write, here: Path, text: str | bytes) -> None:
    text = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    with pytest.raises(SettingsError, match=r"."):
        study_from(*read(write(text)))
    assert list(here.iterdir()) == []


@settings(relaxed, max_examples=150)
@given(changes=st.lists(st.tuples(places, anything), min_size=1, max_size=3))
def test_no_value_anywhere_raises_anything_but_a_settings_error(
    write: Write, here: Path, changes: list[tuple[list[str], Any]]
) -> None:
    described: dict[str, Any] = {
        "study": "small", "data": "digits", "model": "mlp",
        "space": {"depth": {"int": [1, 2]}, "lr": {"float": [0.001, 0.1], "log": True}},
    }  # fmt: skip
    for place, value in changes:
        part = described
        for name in place[:-1]:
            part[name] = part = part[name] if isinstance(part.get(name), dict) else {}
        part[place[-1]] = value
    with contextlib.suppress(SettingsError):
        study, _ = study_from(*read(write(json.dumps(described))))
        assert study.describe()
    assert list(here.iterdir()) == []
