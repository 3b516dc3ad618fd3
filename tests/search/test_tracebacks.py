"""The files of tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import leadline as ll
from leadline.search.log import UNWRITTEN, read_log


def fails(trial: Any) -> float:
    raise ValueError("bad \udcff name")


def test_a_traceback_is_kept_as_a_file_whatever_the_message_holds(plain: Callable[..., ll.Study]) -> None:
    study = plain().run(fails, trials=1, progress=False)
    assert r"ValueError: bad \udcff name" in study.folder.traceback(0).read_text(encoding="utf-8")
    assert study.trials[0].reason.startswith(r"ValueError: bad \udcff name (test_tracebacks.py:")


def test_where_it_cannot_be_written_the_study_goes_on_and_says_so(plain: Callable[..., ll.Study]) -> None:
    study = plain()
    study.folder.path.mkdir(parents=True)
    (study.folder.path / "trials").write_text("a file, where a folder should be")
    study.run(fails, trials=2, progress=False)
    path = study.folder.traceback(1)
    told = f"{path} can't be written: Not a directory"
    assert study.faults.lines()[-1] == f"2 tracebacks not written, but kept with the study: {told}"
    assert [line["reason"] for line in read_log(study.folder.path) if line["event"] == UNWRITTEN][-1] == told
    assert all("in fails" in (trial.traceback or "") for trial in study.trials)
