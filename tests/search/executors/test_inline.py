from __future__ import annotations

import os
from collections.abc import Callable

from contracts.executor import ExecutorContract

import leadline as ll


class TestInline(ExecutorContract):
    executor = "inline"


def test_an_objective_runs_in_this_very_process_so_that_a_debugger_and_a_lambda_work(
    plain: Callable[..., ll.Study],
) -> None:
    seen: set[int] = set()
    plain().run(lambda trial: float(not seen.add(os.getpid())), trials=2, progress=False)
    assert seen == {os.getpid()}
