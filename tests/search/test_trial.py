"""The record of a trial."""

from __future__ import annotations

from optuna.trial import create_trial

from leadline import Trial


def test_what_an_earlier_version_stored_though_utf8_has_no_bytes_for_it_is_read_escaped() -> None:
    facts = {"reason": "ValueError: bad \udcff name", "traceback": "Traceback ...\nValueError: bad \udcff name"}
    trial = Trial.of(create_trial(value=1.0, user_attrs=facts), {})
    assert trial.reason == r"ValueError: bad \udcff name"
    assert trial.traceback is not None
    assert trial.traceback.endswith(r"bad \udcff name")
