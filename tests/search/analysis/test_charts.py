import sys
from dataclasses import replace

import numpy as np
import pytest

from leadline import UsageError
from leadline.search.analysis.charts import chart, plot
from leadline.trainers.sanity import Rates

TRIED = tuple(float(rate) for rate in np.geomspace(1e-6, 10, 100))
LOSSES = tuple(2.0 if rate < 1e-3 else 0.5 if rate < 0.3 else 40.0 for rate in TRIED)
TEST = Rates("ok", "", "adamw", 1e-4, 1e-1, 1e-3, 1e-2, 0.1, 0.3, TRIED, LOSSES, LOSSES)


def test_a_chart_shows_the_fall_the_rise_and_the_spaces_range():
    *bars, axis, space = chart(TEST).splitlines()
    assert len(bars) == 6
    assert all(len(line) <= 66 for line in bars)
    assert bars[-1].strip().count("█") > 20
    assert bars[0].rstrip().endswith("█")  # where it breaks down
    assert bars[2][40] == " "  # where it has fallen
    assert axis.split() == ["1e-6", "1e-4", "1e-2", "1e+0"]
    assert space.strip().startswith("└")
    assert space.endswith("┘ the space's range")
    assert axis.index("1e-4") == space.index("└")


def test_a_fixed_rate_is_a_mark():
    assert chart(replace(TEST, low=1e-2, high=1e-2)).endswith("│ the trainer's lr")


def test_a_loss_that_never_changes_can_be_drawn():
    assert chart(replace(TEST, losses=(1.0,) * 100, smooth=(1.0,) * 100))


@pytest.mark.parametrize("name", ["test.svg", "test.png"])
def test_a_plot_is_written_without_pyplot(tmp_path, name):
    pytest.importorskip("matplotlib")
    before = "matplotlib.pyplot" in sys.modules
    plot([TEST, replace(TEST, optimizer="sgd", breaks_at=None)], tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_plot_of_a_fixed_rate_is_written_too(tmp_path):
    pytest.importorskip("matplotlib")
    plot([replace(TEST, low=1e-2, high=1e-2)], tmp_path / "test.svg")
    assert "the trainer's lr" in (tmp_path / "test.svg").read_text()


def test_where_no_picture_can_be_written_is_told_with_the_fix(tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.svg, \.png, \.pdf"):
        plot([TEST], tmp_path / "test.txt")
    with pytest.raises(UsageError, match="there is no folder"):
        plot([TEST], tmp_path / "nowhere" / "test.svg")
