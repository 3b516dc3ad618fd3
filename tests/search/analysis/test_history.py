from leadline import Trial
from leadline.search.analysis.history import Step, history

TRIALS = [
    Trial(0, "pruned", {}, value=0.99, epochs=1, seconds=0.5),
    Trial(1, "complete", {}, value=0.8, epochs=4, seconds=2.0),
    Trial(2, "running", {}, epochs=2, seconds=1.0),
    Trial(3, "failed", {}, epochs=1),
    Trial(4, "complete", {}, value=0.9, epochs=4, seconds=2.0),
]


def test_it_counts_what_ended_trials_took_and_keeps_the_best_complete_value():
    assert history(TRIALS, maximize=True) == [
        Step(1, 1, 0.5, None),
        Step(2, 5, 2.5, 0.8),
        Step(3, 6, 2.5, 0.8),
        Step(4, 10, 4.5, 0.9),
    ]


def test_of_what_is_minimized_the_least_is_best():
    assert [step.best for step in history(TRIALS, maximize=False)] == [None, 0.8, 0.8, 0.8]
