import sys
from xml.etree import ElementTree

from leadline.search.analysis.drawing.style import COMPLETE, NAMES, blank, inline, styled, svg


def drawn(label="accuracy"):
    with styled():
        figure, axes = blank()
        axes.plot([0, 1], [0, 1], color=COMPLETE)
        axes.set_ylabel(label)
    return svg(figure)


def test_colours_are_named_so_that_the_page_can_choose_their_shade():
    text = inline(drawn(), "one", "a line")
    assert f"stroke: var(--complete, {COMPLETE})" in text
    assert "var(--ink, " in text


def test_ids_of_two_figures_never_meet():
    first, second = (ElementTree.fromstring(inline(drawn(), name, "a line")) for name in ("one", "two"))
    ids = [{element.get("id") for element in root.iter()} - {None} for root in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_names_of_users_stay_text():
    text = inline(drawn("<script>$x_1$</script> & `y`"), "one", 'say "x" <b>')
    root = ElementTree.fromstring(text)
    assert "<script>$x_1$</script> & `y`" in {"".join(element.itertext()).strip() for element in root.iter()}
    assert root.get("aria-label") == 'say "x" <b>'


def test_a_figure_is_the_same_every_time_and_as_wide_as_there_is_room():
    first, second = (inline(drawn(), "one", "a line") for _ in range(2))
    assert first == second
    root = ElementTree.fromstring(first)
    assert root.get("viewBox")
    assert root.get("width") is root.get("height") is None


def test_nothing_global_is_touched():
    import matplotlib

    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    drawn()
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_every_colour_has_a_name_of_its_own():
    assert len(set(NAMES.values())) == len(NAMES)
