"""Hard limits: sizes as people write them, what breaks them, and that such a thing is never trained."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
import pytest

import leadline as ll
from leadline.search.limits import Limits, draws, share
from leadline.search.printing import checked
from leadline.trainers.footprint import Footprint

Make = Callable[..., ll.Study]
WIDE = ll.Space(depth=ll.Int(1, 3), feature_maps=ll.Int(4, 256), lr=ll.Float(1e-3, 1e-1, log=True))
SMALL = {"parameters": 10_000}


class TestSizes:
    @pytest.mark.parametrize(
        ("given", "size"),
        [(2e6, 2_000_000), ("2e6", 2_000_000), ("1.5G", 1_500_000_000), ("12k", 12_000), (" 3 M ", 3_000_000), (7, 7)],
    )
    def test_numbers_and_text_are_sizes(self, given: Any, size: int) -> None:
        assert Limits.parse({"flops": given}).flops == size

    @pytest.mark.parametrize(("given", "size"), [("8GB", 8 * 10**9), ("500MB", 5 * 10**8), ("12B", 12), ("1T", 10**12)])
    def test_memory_is_in_decimal_bytes(self, given: str, size: int) -> None:
        assert Limits.parse({"memory": given}).memory == size

    @pytest.mark.parametrize(
        "given", ["8GiB", "much", "", "-3", 0, -1, True, float("nan"), float("inf"), None, [8], "1e999"]
    )
    def test_what_is_no_size_is_refused_with_an_example(self, given: Any) -> None:
        with pytest.raises(ll.SettingsError, match=r"`memory` must be a size >= 1, as .*8GB"):
            Limits.parse({"memory": given})

    def test_all_problems_are_told_with_their_paths(self) -> None:
        with pytest.raises(ll.SettingsError) as caught:
            Limits.parse({"parameters": "5GB", "memroy": 3, "flops": 0})
        assert [problem.where for problem in caught.value.problems] == [("parameters",), ("memroy",), ("flops",)]
        assert "Did you mean `memory`?" in str(caught.value)
        with pytest.raises(ll.SettingsError, match="limits are a mapping"):
            Limits.parse("8GB")

    def test_none_are_none(self) -> None:
        assert not Limits.parse(None)
        assert Limits.parse({}).describe() is None
        assert Limits.parse({"flops": "1k"}).describe() == {"flops": 1000}


class TestWhatBreaksThem:
    def test_it_is_told_with_both_numbers(self) -> None:
        limits = Limits.parse({"parameters": 1e6, "memory": "8GB"})
        assert limits.broken_by(Footprint(1_000_000, 10**12, 8 * 10**9)) is None
        assert limits.broken_by(Footprint(2_345_678, 1, 9_200_000_000)) == (
            "`parameters <= 1,000,000` must hold, but got 2,345,678; `memory <= 8 GB` must hold, but got 9.2 GB"
        )

    def test_a_configuration_that_cant_be_built_is_left_to_its_trial(self) -> None:
        trainer = ll.Trainer("mlp", "digits")
        assert Limits.parse(SMALL).broken(trainer, {"depth": -1}) is None
        assert "parameters" in (Limits.parse(SMALL).broken(trainer, {"depth": 2, "feature_maps": 512}) or "")


class TestRandomConfigurations:
    def test_they_are_in_the_space_and_the_same_for_the_same_seed(self) -> None:
        space = ll.Space(
            optimizer=ll.Choice(["sgd", "adam"]),
            momentum=ll.Float(0, 0.9, step=0.3, when={"optimizer": "sgd"}),
            depth=ll.Int(1, 9, step=2),
            init="he",
        )
        found = list(islice(draws(space, 3), 50))
        assert all(map(space.contains, found))
        assert found == list(islice(draws(space, 3), 50)) != list(islice(draws(space, 4), 50))
        assert {params["optimizer"] for params in found} == {"sgd", "adam"}
        assert {params["depth"] for params in islice(draws(space, 0, {"depth": 5}), 9)} == {5}

    def test_the_share_of_a_space_is_that_of_a_sample(self) -> None:
        assert share(WIDE, lambda params: bool(params["feature_maps"] < 130), 0) == pytest.approx(0.5, abs=0.2)
        assert share(WIDE, lambda params: False, 0) == 0


class TestAStudyWithLimits:
    @pytest.mark.parametrize(
        "strategy",
        ["random", {"name": "bayes", "startup": 3}, {"name": "gp", "startup": 4}, {"name": "skopt-et", "startup": 4}],
    )
    def test_it_trains_nothing_beyond_them_and_spends_no_trial_on_it(self, digits: Make, strategy: Any) -> None:
        study = digits(space=WIDE, strategy=strategy, limits=SMALL, epochs=1).run(trials=7, progress=False)
        assert [trial.state for trial in study.trials] == ["complete"] * 7
        assert max(trial.parameters or 0 for trial in study.trials) <= 10_000
        assert min(trial.parameters or 0 for trial in study.trials) > 0

    def test_a_sampler_of_ones_own_is_held_to_them_too(self, digits: Make) -> None:
        sampler = optuna.samplers.TPESampler(n_startup_trials=2, seed=0)
        study = digits(space=WIDE, strategy=sampler, limits=SMALL, epochs=1).run(trials=4, progress=False)
        assert max(trial.parameters or 0 for trial in study.trials) <= 10_000

    def test_lanes_fill_with_what_is_within(self, digits: Make) -> None:
        study = digits(space=WIDE, strategy="bayes", limits=SMALL, epochs=1, lanes=4, plan="auto")
        study.run(trials=8, progress=False)
        assert len(study.trials) == 8
        assert max(trial.parameters or 0 for trial in study.trials) <= 10_000

    def test_a_grid_leaves_out_what_is_beyond_them_and_ends(self, digits: Make) -> None:
        space = ll.Space(depth=ll.Int(1, 2), feature_maps=ll.Choice([8, 512]))
        study = digits(space=space, strategy="grid", limits=SMALL, epochs=1).run(progress=False)
        assert study.ended_by == "space"
        assert [trial.params["feature_maps"] for trial in study.trials] == [8, 8]

    def test_a_finite_space_is_used_up_when_all_within_them_has_run(self, digits: Make) -> None:
        space = ll.Space(feature_maps=ll.Choice([8, 9, 512, 1024]))
        study = digits(space=space, limits=SMALL, epochs=1).run(trials=100, progress=False)
        assert study.ended_by == "space"
        assert {trial.params["feature_maps"] for trial in study.trials} == {8, 9}

    def test_it_proposes_the_same_after_a_resume(self, digits: Make) -> None:
        whole = digits("whole", space=WIDE, strategy="bayes", limits=SMALL, epochs=1).run(trials=5, progress=False)
        for trials in (2, 5):
            digits("parts", space=WIDE, strategy="bayes", limits=SMALL, epochs=1).run(trials=trials, progress=False)
        assert [
            trial.params for trial in digits("parts", space=WIDE, strategy="bayes", limits=SMALL, epochs=1).trials
        ] == [trial.params for trial in whole.trials]

    def test_memory_and_flops_are_limits_too(self, digits: Make) -> None:
        study = digits(space=WIDE, limits={"memory": "400kB", "flops": "20k"}, epochs=1).run(trials=3, progress=False)
        assert study.trainer is not None
        for trial in study.trials:
            found = study.trainer.footprint(trial.params)
            assert found.memory <= 400_000
            assert found.flops <= 20_000

    def test_what_is_enqueued_beyond_them_is_refused_with_the_number(self, digits: Make, folder: Path) -> None:
        study = digits(space=WIDE, limits=SMALL)
        with pytest.raises(ll.SettingsError) as caught:
            study.enqueue({"depth": 1, "feature_maps": 8}, {"depth": 3, "feature_maps": 256, "lr": 0.01})
        (problem,) = caught.value.problems
        assert problem.where == (1,)
        assert "`parameters <= 10,000` must hold, but got 150,794" in problem.text
        assert not folder.exists()

    def test_what_is_enqueued_in_part_is_completed_within_them(self, digits: Make) -> None:
        study = digits(space=WIDE, limits=SMALL, epochs=1).enqueue({"depth": 3}).run(trials=1, progress=False)
        (trial,) = study.trials
        assert trial.params["depth"] == 3
        assert (trial.parameters or 0) <= 10_000
        with pytest.raises(ll.SettingsError, match="is beyond the limits"):
            study.enqueue({"feature_maps": 256})

    def test_of_an_earlier_study_the_best_within_them_run_first(self, digits: Make) -> None:
        space = ll.Space(feature_maps=ll.Choice([8, 16, 512]), lr=0.01, depth=1)
        digits("earlier", space=space, strategy="grid", epochs=1).run(progress=False)
        study = digits("later", space=space, limits=SMALL, epochs=1, warm_start={"from": "earlier", "first": 2})
        study.run(trials=2, progress=False)
        assert {trial.params["feature_maps"] for trial in study.trials} == {8, 16}

    def test_limits_are_settings_that_a_study_keeps(self, digits: Make, folder: Path) -> None:
        digits(space=WIDE, limits={"parameters": "10k"}, epochs=1).run(trials=1, progress=False)
        assert digits(space=WIDE, limits=SMALL, epochs=1).run(trials=2, progress=False).ended_by == "trials"
        assert ll.load_study("digits", folder).limits == Limits(parameters=10_000)
        for limits in (None, {"parameters": 20_000}):
            with pytest.raises(ll.SettingsError, match="exists with other settings: `limits"):
                digits(space=WIDE, limits=limits, epochs=1).run(trials=2, progress=False)

    def test_a_study_from_before_there_were_limits_goes_on_without(self, digits: Make) -> None:
        study = digits(epochs=1).run(trials=1, progress=False)
        with study._writing() as ledger:
            kept = {name: value for name, value in ledger.attribute("settings").items() if name != "limits"}
            ledger.set_attribute("settings", kept)
            ledger.commit()
        assert len(digits(epochs=1).run(trials=2, progress=False).trials) == 2

    def test_limits_that_leave_nothing_are_an_error(self, digits: Make, folder: Path) -> None:
        with pytest.raises(ll.SettingsError, match="of 64 random configurations none is within parameters <= 10"):
            digits(space=WIDE, limits={"parameters": 10}).run(trials=1)
        assert not folder.exists()

    def test_an_objective_has_no_limits(self, plain: Make, folder: Path) -> None:
        with pytest.raises(ll.SettingsError, match="limits are of networks, but this study has no trainer"):
            plain(limits=SMALL).run(lambda trial: 1.0, trials=1)
        with pytest.raises(ll.SettingsError, match="limits are of networks"):
            plain(limits=SMALL).ask()
        assert not folder.exists()

    def test_check_tells_what_they_leave_and_what_networks_take(self, digits: Make) -> None:
        found = checked(digits(space=WIDE, limits={**SMALL, "memory": "1MB"}))
        assert found["network"] == "mlp: 310 to 150,794 parameters"
        assert found["takes"].startswith("592 to 300,032 flops an example, ")
        assert found["limits"] == "parameters <= 10,000, memory <= 1 MB: 16% of 64 random configurations are within"
        assert "limits" not in checked(digits(space=WIDE))


class TestTimes:
    @pytest.mark.parametrize(
        ("given", "seconds"), [(90, 90), (0.5, 0.5), ("90s", 90), ("10m", 600), ("10 min", 600), ("1h30m", 5400)]
    )
    def test_they_are_seconds_or_as_people_say_them(self, given: Any, seconds: float) -> None:
        assert Limits.parse({"seconds": given}).time.seconds == seconds

    @pytest.mark.parametrize("given", [0, -1, "soon", "", "5", "10x", True, None, float("inf")])
    def test_what_is_no_time_is_an_error_with_an_example(self, given: Any) -> None:
        with pytest.raises(ll.SettingsError, match="`epoch_seconds` must be a time > 0, as 90"):
            Limits.parse({"epoch_seconds": given})

    def test_they_need_no_trainer_and_no_network_counts_against_them(self, plain: Make) -> None:
        study = plain(limits={"seconds": "1h"}).run(lambda trial: 1.0, trials=2, progress=False)
        assert [trial.state for trial in study.trials] == ["complete"] * 2
        assert study.allowed is None

    def test_a_later_run_may_have_others_and_else_goes_on_with_those_it_had(self, plain: Make, folder: Path) -> None:
        plain(limits={"seconds": 5}).run(lambda trial: 1.0, trials=1, progress=False)
        assert ll.load_study("plain", folder).limits.time.seconds == 5
        plain(limits={"seconds": "1m"}).run(lambda trial: 1.0, trials=2, progress=False)
        assert ll.load_study("plain", folder).limits.times == {"seconds": 60}

    def test_within_the_drivers_process_they_hold_at_the_ends_of_epochs(self, digits: Make) -> None:
        study = digits(limits={"epoch_seconds": 1e-9}, epochs=3).run(trials=1, progress=False)
        (trial,) = study.trials
        assert (trial.state, len(trial.curve)) == ("failed", 1)
        assert trial.reason.startswith("time limit: ")

    def test_an_objectives_time_is_told_by_its_reports(self, plain: Make) -> None:
        def slow(trial: ll.ActiveTrial) -> float:
            trial.report(1.0)
            raise AssertionError("it goes on")

        study = plain(limits={"seconds": 1e-9}).run(slow, trials=1, progress=False)
        assert study.trials[0].reason.startswith("time limit: `seconds <= 1e-09`")
