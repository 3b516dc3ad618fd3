"""The setting `mlflow`: an address, a mapping, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contracts.tracked import WARNINGS

import leadline as ll
from leadline.search.tracking import Tracking

pytestmark = WARNINGS
Make = Callable[..., ll.Study]


def problems_of(given: Any) -> list[str]:
    with pytest.raises(ll.SettingsError) as caught:
        Tracking.of(given)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("auto", Tracking()),
        ("http://host:5000", Tracking(uri="http://host:5000")),
        ({}, Tracking()),
        ({"experiment": "all", "report": False}, Tracking(experiment="all", report=False)),
        (Tracking(wait=0), Tracking(wait=0)),
    ],
)
def test_what_may_be_given(given: Any, expected: Tracking | None) -> None:
    assert Tracking.of(given) == expected


def test_every_problem_is_told_at_once() -> None:
    wrong = {"uri": 5, "registr": "x", "register": "a/b", "alias": "v3", "system_metrics": 0.5, "report": 1, "wait": -1}
    told = problems_of(wrong)
    assert len(told) == 7
    for text in (
        "registr: `mlflow` has no option `registr`. Did you mean `register`?",
        'uri: `uri` must be an address or "auto", but got 5',
        "register: `register` must be a model's name, without `/` and `:`, but got 'a/b'",
        "alias: `alias` must be an alias, without `/` and `:`, not `latest` and not `v1`, `v2`, ..., but got 'v3'",
        "system_metrics: `system_metrics` must be true, false, or at least 1 second between samples, but got 0.5",
        "report: `report` must be true or false, but got 1",
        "wait: `wait` must be seconds >= 0, but got -1",
    ):
        assert text in told


def test_an_alias_is_of_a_registered_model() -> None:
    assert problems_of({"alias": "champion"}) == [
        "alias: `alias` names a version of a registered model: give `register` too"
    ]


def test_something_else_is_refused_with_what_may_be_given() -> None:
    assert "`mlflow` must be an address, null, or a mapping of uri, experiment" in problems_of(["auto"])[0]


def test_a_studys_problems_name_the_setting(plain: Make) -> None:
    with pytest.raises(ll.SettingsError, match=r"mlflow\.wait: `wait` must be seconds >= 0"):
        plain(mlflow={"wait": "long"})


@pytest.mark.parametrize(("given", "interval"), [(False, None), (True, 10.0), (2, 2.0), (30.0, 30.0)])
def test_system_metrics_say_how_often(given: Any, interval: float | None) -> None:
    assert Tracking(system_metrics=given).interval == interval


@pytest.mark.parametrize(
    "given", ["auto", "http://host:5000", {"register": "digits", "uri": "sqlite:///a.db"}, {"system_metrics": True}]
)
def test_the_shortest_form_is_what_was_given(given: Any) -> None:
    tracking = Tracking.of(given)
    assert tracking is not None
    assert tracking.describe() == given


def test_an_address_with_a_password_is_kept_nowhere() -> None:
    secret = "postgresql://ann:secret@host/mlflow"
    assert Tracking(uri=secret).describe() == "auto"
    assert Tracking(uri=secret, register="digits").describe() == {"register": "digits"}


@pytest.mark.usefixtures("used")
def test_a_study_that_goes_on_is_tracked_as_before(plain: Make, folder: Any) -> None:
    options = {"mlflow": {"experiment": "all", "report": False}}
    plain(**options).run(lambda trial: 1.0, trials=1, progress=False)
    assert ll.load_study("plain", folder).tracking == Tracking(experiment="all", report=False)
