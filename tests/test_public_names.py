import inspect
import subprocess
import sys

import pytest

import leadline

PROMISED = [
    "ActiveTrial",
    "Choice",
    "DataError",
    "Float",
    "Int",
    "LeadlineError",
    "Model",
    "Pruned",
    "SettingsError",
    "Space",
    "SpaceError",
    "SpaceExhausted",
    "Study",
    "StudyError",
    "StudyFailed",
    "Trainer",
    "Trial",
    "UsageError",
    "build",
    "load_model",
    "load_study",
]


def test_the_public_names_are_these():
    assert leadline.__all__ == PROMISED
    assert dir(leadline) == PROMISED


@pytest.mark.parametrize("name", PROMISED)
def test_a_public_name_can_be_had_and_says_what_it_is(name):
    value = getattr(leadline, name)
    assert value.__name__ == name
    assert (inspect.getdoc(value) or "").strip()
    assert value.__doc__ != (value.__mro__[1].__doc__ if inspect.isclass(value) else None)


def test_every_error_is_one_of_leadlines():
    errors = [getattr(leadline, name) for name in PROMISED if inspect.isclass(getattr(leadline, name))]
    errors = [error for error in errors if issubclass(error, Exception)]
    assert len(errors) == 9
    assert all(issubclass(error, leadline.LeadlineError) for error in errors)


def test_a_name_that_isnt_promised_isnt_there():
    with pytest.raises(AttributeError, match="module 'leadline' has no attribute 'Studdy'"):
        _ = leadline.Studdy


def test_a_star_import_brings_the_public_names():
    script = "from leadline import *; print(sorted(name for name in dir() if name[0] != '_'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(PROMISED)
