"""What `leadline show` prints."""

import pytest

import leadline as ll
from leadline.search.analysis.overview import print_overview


@pytest.fixture
def study(tmp_path):
    """Four trials of an objective: two complete, one pruned, one failed."""
    space = ll.Space(x=ll.Int(0, 9), kind="fixed")
    study = ll.Study("small", space, strategy="random", storage=tmp_path, mlflow=None)
    study.enqueue(*({"x": x} for x in (2, 5, 1, 7)))

    def objective(trial):
        for epoch in range(1, 5):
            trial.report(trial.params["x"] * epoch / 4)
            if trial.params["x"] == 1:
                raise ll.Pruned
        if trial.params["x"] == 7:
            raise ValueError("seven can't be")
        return float(trial.params["x"])

    return study.run(objective, trials=4, progress=False)


def shown(study, capsys):
    capsys.readouterr()
    print_overview(study)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_the_lines_on_top_count_the_trials_and_follow_the_best_value(study, capsys):
    counts, so_far, *_ = shown(study, capsys)
    assert counts == "small: 4 trials (2 complete, 1 pruned, 1 failed)"
    assert so_far == "best so far: ▁███  value 5"


def test_each_trial_has_its_curve_on_one_scale_and_the_best_is_marked(study, capsys):
    _, _, _, header, *rows = shown(study, capsys)
    assert header.split() == ["trial", "state", "value", "curve", "epochs", "seconds", "x", "kind", "reason"]
    curves = [next(word for word in row.split() if word[0] in "▁▂▃▄▅▆▇█") for row in rows]
    assert [len(curve) for curve in curves] == [4, 4, 1, 4]
    assert curves[3][-1] == "█"  # 7, the greatest
    assert curves[2] == curves[0][0] == "▁"
    assert [row.startswith(f"{place} ★") for place, row in enumerate(rows)] == [False, True, False, False]


def test_where_it_is_narrow_reasons_of_failures_and_curves_stay_and_fixed_values_go(study, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    text = "\n".join(shown(study, capsys))
    assert "seven" in text or "ValueErro" in text
    assert "curve" in text
    assert text.splitlines()[-1].startswith("No room for") or "kind" in text.split("No room for")[1]


def test_before_a_trial_is_complete_nothing_is_best(tmp_path, capsys):
    with ll.Study("empty", ll.Space(x=ll.Int(0, 9)), storage=tmp_path, mlflow=None) as study:
        study.ask()
        lines = shown(study, capsys)
    assert lines[0] == "empty: 1 trial (1 running)"
    assert "best so far" not in "\n".join(lines)
    assert "★" not in "\n".join(lines)
