import json
import math
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import leadline as ll
from leadline.search.analysis.figures import figures, write_figures
from leadline.search.analysis.report import document_of, write_all, write_report

HOSTILE = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """The elements of a page, their attributes and text; fails where a tag isn't closed or an id is there twice."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.text = [], [], set(), []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if "id" in dict(attrs):
            assert dict(attrs)["id"] not in self.ids
            self.ids.add(dict(attrs)["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def sections(self):
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]


def page_of(study, path):
    return Page(write_report(study, path).read_text(encoding="utf-8"))


def build(in_shape, classes, width=8):
    """A network that only this module knows."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_shape[0], width), nn.ReLU(), nn.Linear(width, classes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of four trials of small networks on digits."""
    folder = tmp_path_factory.mktemp("trained")
    space = ll.Space(depth=ll.Int(1, 2), feature_maps=ll.Choice([4, 8]), lr=ll.Float(1e-3, 1e-1, log=True))
    how = {"strategy": "random", "pruner": "median", "storage": folder, "executor": "inline", "mlflow": None}
    ll.Study("digits", space, ll.Trainer("mlp", "digits", epochs=3), **how).run(trials=4, progress=False)
    return ll.load_study("digits", folder)


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """The file of its report."""
    return write_report(trained, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def page(written):
    """Its report, read as a browser does."""
    return Page(written.read_text(encoding="utf-8"))


def test_a_report_has_every_section_of_a_study_of_a_trainer(trained, page):
    assert page.sections == [
        *("question", "answer", "history", "parallel", "importance", "landscape", "curves", "endings", "time", "costs"),
        *("mistakes", "runners-up", "next", "reproduce"),
    ]
    text = " ".join(" ".join(page.text).split())
    assert f"{trained.best.value:.4g}" in text
    assert "not opened" in text
    assert "1,197 train, 301 valid, 299 test" in text
    assert "McNemar" in text
    assert "it takes at least 10 trials that can be compared, and there are 4" in text
    assert trained.attribute("split")["data"] in text


def test_a_report_names_every_link_of_its_contents(page):
    links = [attrs["href"][1:] for tag, attrs in page.tags if tag == "a"]
    assert links == page.sections


def test_every_picture_is_in_the_page_with_a_caption_and_words_for_who_cant_see_it(page):
    drawn = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawn) >= 10
    assert all(attrs["aria-label"] and attrs["role"] == "img" for attrs in drawn)
    assert sum(tag == "figcaption" for tag, _ in page.tags) == len(drawn)


def test_a_page_asks_for_nothing(page):
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        for name in ("src", "href", "xlink:href"):
            if name in attrs:
                assert attrs[name].startswith(("#", "data:")), (tag, attrs[name])


def test_references_inside_the_page_are_to_what_is_there(written, page):
    assert set(re.findall(r"url\(#([^)]+)\)", written.read_text())) <= page.ids
    assert {
        attrs["xlink:href"][1:] for _, attrs in page.tags if attrs.get("xlink:href", "").startswith("#")
    } <= page.ids


def test_the_test_value_is_told_once_the_split_was_opened(trained, tmp_path):
    shutil.copytree(trained.storage, tmp_path / "copy")
    study = ll.load_study("digits", tmp_path / "copy")
    value = study.test()
    text = " ".join(page_of(study, tmp_path / "report.html").text)
    assert "not opened" not in text
    assert f"{value:.4g} accuracy (trial {trained.best.number}; opened once, last on" in text


def test_the_study_file_of_a_report_makes_the_same_study(trained, tmp_path):
    from leadline.search.config import read, study_from

    (code,) = [
        block.text
        for section in document_of(trained).sections
        for block in section.blocks
        if block.kind == "code" and block.language == "yaml"
    ]
    (tmp_path / "study.yaml").write_text(code)
    study, file = study_from(*read(tmp_path / "study.yaml"))
    assert study.describe() == trained.describe()
    assert file.trials == 4


def test_what_users_call_things_does_no_harm(hilly, tmp_path):
    path = write_report(hilly, tmp_path / "report.html")
    page = Page(path.read_text())
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in "".join(page.text)  # it stands there, as text


def test_a_reason_that_an_earlier_version_stored_is_escaped_where_utf8_has_no_bytes_for_it(told, tmp_path):
    study = told(ll.Space(x=ll.Int(0, 3)), [({"x": 0}, 0.5), ({"x": 1}, None)])
    journal = study.folder.journal.read_text()
    assert '"reason":"told"' in journal
    study.folder.journal.write_text(journal.replace('"reason":"told"', r'"reason":"bad \udcff name"'))
    (study.folder.path / "journal.crc").unlink()  # the seal, which an edit breaks
    page = page_of(ll.load_study(study.name, study.storage), tmp_path / "report.html")
    assert r"bad \udcff name" in "".join(page.text)


def test_markdown_shows_what_users_call_things_as_it_is(hilly, tmp_path):
    text = write_report(hilly, tmp_path / "report.md").read_text()
    assert "<script" not in text.split("```")[0]
    assert "&lt;script>" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows:
        assert row.endswith(" |") or re.fullmatch(r"[| :-]+", row)
    widths = {}
    for header, rule in pairwise(rows):
        if re.fullmatch(r"[| :-]+", rule) and "-" in rule:
            widths[header] = rule.count("|")
    assert all(len(re.findall(r"(?<!\\)\|", header)) == count for header, count in widths.items())


def test_markdown_has_code_as_it_is(told, tmp_path):
    study = told(ll.Space(x=ll.Int(0, 9), depth_=ll.Int(0, 9)), [({"x": n, "depth_": 9}, n) for n in range(8)])
    text = write_report(study, tmp_path / "report.md").read_text()
    assert "have `depth_` at the upper end of its range: search above 9 too." in text


def test_a_study_without_a_complete_trial_has_no_table_of_the_best_so_far(plain, tmp_path):
    with plain() as study:
        trial = study.ask()
        trial.report(0.5)
        document = document_of(ll.load_study(study.name, study.storage))
    assert [plot.table for plot in document.plots if plot.name == "history"] == [None]


def test_markdown_has_the_same_sections_and_shows_plots_that_lie_beside_it(hilly, tmp_path):
    plots = write_all(hilly, tmp_path / "report.md", tmp_path / "plots", "png")
    text = (tmp_path / "report.md").read_text()
    titles = [section.title for section in document_of(hilly).sections]
    assert re.findall(r"^## (.*)$", text, flags=re.M) == titles
    linked = re.findall(r"!\[.*?\]\(<(.*?)>\)", text)
    assert [tmp_path / link for link in linked] == plots
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)


def test_markdown_without_plots_names_none(hilly, tmp_path):
    text = write_report(hilly, tmp_path / "report.md").read_text()
    assert "![" not in text
    assert re.search(r"^\| x \| \d+ \| \d+ \|$", text, flags=re.M)  # importances, as a table


def test_figures_are_those_of_the_report_and_are_written_one_by_one(hilly, tmp_path):
    found = figures(hilly)
    assert {"history", "distribution", "parallel", "importance", "slice-x", "timeline"} <= set(found)
    assert any(name.startswith("contour-") for name in found)
    paths = write_figures(hilly, tmp_path / "figures")
    assert {path.stem for path in paths} == set(found)
    assert all(path.read_text().startswith("<?xml") for path in paths)


def captions(study):
    return {plot.name: plot.caption for plot in document_of(study).plots}


def test_captions_tell_how_many_trials_lie_beyond_an_axis(told):
    values = [0.9 + number / 1000 for number in range(40)] + [0.1, 0.2]
    found = captions(told(ll.Space(x=ll.Float(0, 1)), [({"x": n / 42}, value) for n, value in enumerate(values)]))
    for name in ("history", "parallel", "slice-x"):
        assert found[name].endswith(" 2 trials are worse than the axis shows and are drawn at its edge.")
    assert found["distribution"].endswith(" 2 trials are worse than the axis shows.")


def test_the_caption_of_learning_curves_tells_how_many_leave_the_axis(plain):
    def objective(trial):
        for epoch in range(1, 9):
            trial.report(0.9 + epoch / 100 if trial.params["x"] else -5.0, epoch)
        return 0.98

    study = plain(strategy="grid")
    study.run(objective, progress=False)
    assert captions(study)["curves"].endswith(" Worse than the axis shows, in part or all along: 1 curve.")


def test_captions_of_few_trials_say_nothing_of_an_edge(told):
    values = [0.9521, 0.4557, 0.933, 0.931, 0.929, 0.92]
    found = captions(told(ll.Space(x=ll.Float(0, 1)), [({"x": n / 6}, value) for n, value in enumerate(values)]))
    assert not any("worse than the axis" in caption for caption in found.values())


def test_pairs_of_parameters_are_spoken_of_where_they_are_drawn_alone(told, hilly):
    few = told(ll.Space(x=ll.Float(0, 1), y=ll.Float(0, 1)), [({"x": n / 6, "y": n / 7}, n) for n in range(6)])
    for study, drawn in ((few, False), (hilly, True)):
        document = document_of(study)
        (lead,) = [section.lead for section in document.sections if section.id == "landscape"]
        assert any(plot.name.startswith("contour-") for plot in document.plots) is drawn
        assert ("pair" in lead) is drawn


def test_importance_names_what_matters_and_what_doesnt(hilly, tmp_path):
    text = " ".join(" ".join(page_of(hilly, tmp_path / "report.html").text).split())
    assert re.search(r"Value depended most on x \(\d+ %", text)
    assert "fANOVA knows only parameters that every trial has" in text


def test_the_question_tells_what_was_fixed_beforehand(folder):
    trainer = ll.Trainer("mlp", "digits", epochs=2, folds=3, class_weights="balanced")
    how = {"strategy": "grid", "storage": folder, "executor": "inline", "mlflow": None}
    study = ll.Study("folds", ll.Space(lr=ll.Choice([1e-3, 1e-2])), trainer, metric=["auc", "parameters"], **how)
    study.run(trials=1, progress=False)
    sections = {section.id: section for section in document_of(study).sections}
    told = dict(sections["question"].blocks[0].rows)
    assert told["rows"] == "1,498 train and valid in turn, 299 test; split by seed 0"
    assert told["training"] == "epochs 2, batch_size 64, optimizer adamw, class_weights balanced"
    assert told["judged by"] == "auc (maximized) on the validation rows, at its best epoch, parameters (minimized)"
    assert told["network"].startswith("mlp, ")
    assert " to " not in told["network"]
    assert sections["endings"].lead == "Nothing was pruned, and nothing failed: its one trial is complete."
    assert "; none came after it." in sections["history"].lead
    assert captions(study)["curves"].startswith("AUC by epoch of 1 trial")


def objective(trial):
    for epoch in range(1, 5):
        trial.report(trial.params["x"] / epoch, epoch)
        if trial.should_prune():
            raise ll.Pruned
    if trial.params["x"] == 9:
        raise ValueError("nine")
    return float(trial.params["x"])


def test_a_study_of_an_objective_that_prunes_and_fails_can_be_reported(plain, tmp_path):
    study = plain(direction="minimize", pruner="median", strategy="grid")
    study.run(objective, progress=False)
    page = page_of(study, tmp_path / "report.html")
    text = " ".join(" ".join(page.text).split())
    assert "mistakes" not in page.sections
    assert {"curves", "endings", "runners-up"} <= set(page.sections)
    assert "an objective of the user's own" in text
    assert "ValueError: nine" in text or "the objective raised Pruned" in text


@pytest.mark.parametrize(
    "ended",
    [[0.5], [0.1, 0.2, 0.3], [0.5] * 12, [None] * 4, [1.0, None], [1.0, math.inf, -math.inf, 1e300, *range(10)]],
    ids=["single", "few", "constant", "all failed", "one failed", "infinite"],
)
def test_studies_of_little_can_be_reported(told, tmp_path, ended):
    space = ll.Space(x=ll.Float(0, 1))
    study = told(space, [({"x": number / 20}, value) for number, value in enumerate(ended)])
    page = page_of(study, tmp_path / "report.html")
    assert page.sections[:2] == ["question", "answer"]
    assert page.sections[-1] == "reproduce"
    assert write_report(study, tmp_path / "report.md").read_text().startswith("# told\n")


def test_a_study_that_has_but_a_running_trial_can_be_reported(plain, tmp_path):
    with plain() as study:
        study.ask()
        text = " ".join(page_of(study, tmp_path / "report.html").text)
    assert "There is none: no trial is complete (1 running)." in text


def test_a_space_that_is_fixed_can_be_reported(told, tmp_path):
    study = told(ll.Space(x=3, y=ll.Choice([1])), [({"y": 1}, 0.5)])
    assert "landscape" not in page_of(study, tmp_path / "report.html").sections


def test_several_objectives_have_a_front_and_a_plot_for_each(told, tmp_path):
    study = told(
        ll.Space(x=ll.Float(0, 1)),
        [({"x": x}, (x, x**2, 1 - x)) for x in np.linspace(0, 1, 12)],
        metric=["good", "cheap", "odd/<i>"],
        direction=["maximize", "minimize", "maximize"],
    )
    names = list(figures(study))
    assert {"history", "history-cheap", "importance-cheap", "front-cheap", "front-odd-i-"} <= set(names)
    text = " ".join(page_of(study, tmp_path / "report.html").text)
    assert "there is no single best trial" in text


def test_a_report_of_several_objectives_speaks_of_all_of_them(digits):
    study = digits(
        space=ll.Space(depth=1, feature_maps=ll.Choice([2, 64]), lr=ll.Choice([1e-5, 1e-2])),
        metric=["accuracy", "parameters"],
        epochs=4,
        strategy="grid",
    )
    study.run(progress=False)
    sections = {section.id: section for section in document_of(study).sections}
    lead = sections["question"].lead
    assert "Which configurations of 2 parameters have the greatest accuracy and the fewest parameters, so that" in lead
    assert sections["runners-up"].lead == (
        "All of these are worse in accuracy than the best by more than noise would explain. "
        "Those on the front are better than it in another objective."
    )
    (table,) = sections["runners-up"].blocks
    place = table.header.index("on the front")
    assert {row[0] for row in table.rows if row[place] == "yes"} == {str(one.number) for one in study.best_trials}


def test_objectives_that_were_given_no_name_are_named_among_the_settings(told, tmp_path):
    study = told(ll.Space(x=ll.Float(0, 1)), [({"x": 0.5}, (1, 2))], direction=["minimize", "maximize"])
    assert "metric: [value, value_1]" in write_report(study, tmp_path / "report.md").read_text()


def test_a_front_of_one_trial_is_spoken_of_as_one(told, tmp_path):
    ended = [({"x": 0.5}, (1, 2)), ({"x": 0.6}, (2, 1))]
    study = told(ll.Space(x=ll.Float(0, 1)), ended, direction=["minimize", "maximize"])
    text = write_report(study, tmp_path / "report.md").read_text()
    assert "No other trial is better than this one in one objective without being worse in another." in text


def test_a_metric_and_a_network_that_only_a_script_knows_can_be_reported(folder, tmp_path):
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(120, 5)).astype("float32"), np.arange(120) % 2

    def share(outputs, targets):
        return float((outputs.argmax(dim=1) == targets).double().mean())

    how = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None}
    study = ll.Study(
        "mine", ll.Space(width=ll.Int(2, 9)), ll.Trainer(build, (inputs, targets), epochs=2), metric=share, **how
    )
    study.run(trials=3, progress=False)
    there = " ".join(page_of(study, tmp_path / "there.html").text)
    elsewhere = " ".join(page_of(ll.load_study("mine", folder), tmp_path / "elsewhere.html").text)
    assert "120 rows, 2 classes" in there
    assert "This can't be shown: the data, or the code that reads them, can't be had here." in elsewhere
    assert "can't be had here" not in there


def test_a_regression_shows_its_worst_rows(folder, tmp_path):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(120, 3, generator=generator)
    trainer = ll.Trainer("mlp", (inputs, inputs[:, 0] * 1.5 + 0.01), epochs=2, replicates=2)
    how = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None}
    study = ll.Study("numbers", ll.Space(lr=ll.Float(1e-3, 1e-1, log=True)), trainer, metric="rmse", **how)
    study.run(trials=3, progress=False)
    text = " ".join(page_of(study, tmp_path / "report.html").text)
    assert "Half of the 20 validation rows" in text
    assert "predicted" in figures(study)
    assert "Welch's t-test" in text  # the runners-up are compared by their replicates
    assert "±" in text


def test_data_that_have_changed_arent_judged(folder, tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{number},{number % 2}" for number in range(60)]
    path.write_text("\n".join(["x,label", *rows]))
    how = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None}
    study = ll.Study("table", ll.Space(lr=ll.Float(1e-3, 1e-1)), ll.Trainer("mlp", path, epochs=1), **how)
    study.run(trials=1, progress=False)
    path.write_text("\n".join(["x,label", *reversed(rows)]))
    text = " ".join(page_of(ll.load_study("table", folder), tmp_path / "report.html").text)
    assert "This can't be shown" in text


@pytest.mark.parametrize("name", ["report.pdf", "nowhere/report.html"])
def test_where_no_report_can_be_written_is_told_before_anything_is(hilly, tmp_path, name):
    with pytest.raises(ll.UsageError):
        write_report(hilly, tmp_path / name)
    assert not list(tmp_path.glob("report*"))


def test_a_format_of_plots_that_isnt_known_is_told_with_those_that_are(hilly, tmp_path):
    with pytest.raises(ll.UsageError, match="svg or png"):
        write_all(hilly, tmp_path / "report.html", tmp_path / "plots", "bmp")


def test_a_study_that_isnt_there_has_no_report(plain, tmp_path):
    with pytest.raises(ll.StudyError, match="there is no study"):
        write_report(plain(), tmp_path / "report.html")


def test_a_report_replaces_the_one_before(hilly, tmp_path):
    (tmp_path / "report.html").write_text("old")
    assert hilly.report(tmp_path / "report.html") == tmp_path / "report.html"
    assert "<h1>hilly</h1>" in (tmp_path / "report.html").read_text()


class TestCommandLine:
    @pytest.fixture
    def leadline(self, monkeypatch, tmp_path, capsys):
        from leadline import cli

        def run(*arguments):
            monkeypatch.chdir(tmp_path)
            monkeypatch.setattr("sys.argv", ["leadline", *map(str, arguments)])
            try:
                cli.main()
                code = 0
            except SystemExit as left:
                code = left.code or 0
            return code, *capsys.readouterr()

        return run

    def test_report_writes_a_page_here_and_says_where(self, leadline, hilly, folder, tmp_path):
        code, out, _ = leadline("report", "hilly", "--storage", folder)
        assert (code, out) == (0, "hilly.html\n")
        assert (tmp_path / "hilly.html").exists()

    def test_report_tells_all_that_it_wrote_as_json(self, leadline, hilly, folder, tmp_path):
        code, out, _ = leadline(
            *(
                "report",
                "hilly",
                "--storage",
                folder,
                "--format",
                "md",
                "--plots",
                "p",
                "--plot-format",
                "png",
                "--json",
            )
        )
        told = json.loads(out)
        assert code == 0
        assert told["path"] == "hilly.md"
        assert all((tmp_path / plot).exists() and plot.endswith(".png") for plot in told["plots"])

    def test_a_format_that_isnt_the_files_is_an_error(self, leadline, hilly, folder):
        code, _, error = leadline("report", "hilly", "--storage", folder, "--format", "md", "--output", "a.html")
        assert code == 2
        assert "`--format md` writes a file that ends in .md, but --output is `a.html`" in error


def test_what_scrolls_aside_has_a_shadow_where_there_is_more(wide, chromium, screenshots):
    page = chromium.new_page(viewport={"width": 390, "height": 900})
    page.goto(wide.as_uri())
    table = page.locator("#mistakes .scroll").last
    edges = {}
    for where in ("start", "end"):
        table.evaluate("(table, end) => table.scrollTo(end ? table.scrollWidth : 0, 0)", where == "end")
        picture = Image.open(BytesIO(table.screenshot(path=screenshots / f"report-{where}.png"))).convert("L")
        edges[where] = [picture.getpixel((x, 2)) < 250 for x in (0, picture.width - 1)]  # above the header's words
    assert edges == {"start": [False, True], "end": [True, False]}
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_in_a_browser(written, chromium, screenshots, width, scheme):
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(written.as_uri())
    page.screenshot(path=screenshots / f"report-{width}-{scheme}.png", full_page=True)
    assert [url for url in asked if not url.startswith("data:")] == [written.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") == width  # no sideways scrolling of the page
    cut = page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")].filter(element =>
             !element.closest(".scroll, pre, svg, details") &&
             (element.getBoundingClientRect().right > innerWidth || element.scrollWidth > element.clientWidth + 1 &&
              getComputedStyle(element).display !== "inline" && element.clientWidth)
           ).map(element => element.outerHTML.slice(0, 80))"""
    )
    assert cut == []
    overlapping = page.evaluate(
        """() => [...document.querySelectorAll("figure svg")].flatMap(svg => {
             const box = svg.getBoundingClientRect();
             return [...svg.querySelectorAll("text")].filter(text => {
               const own = text.getBoundingClientRect();
               return own.left < box.left - 2 || own.right > box.right + 2 || own.bottom > box.bottom + 2;
             }).map(text => text.textContent);
           })"""
    )
    assert overlapping == []
    context.close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The file of a report on a table of many columns with long names."""
    folder = tmp_path_factory.mktemp("wide")
    header = ",".join(["label", *(f"the_{'very_' * 5}long_name_{column}" for column in range(12))])
    rows = [f"class {row % 2}," + ",".join(f"{row * column / 7:.4f}" for column in range(12)) for row in range(60)]
    (folder / "table.csv").write_text("\n".join([header, *rows]))
    how = {"strategy": "random", "storage": folder, "executor": "inline", "mlflow": None}
    trainer = ll.Trainer("mlp", {"path": str(folder / "table.csv"), "label": "label"}, epochs=1)
    study = ll.Study("wide", ll.Space(lr=ll.Float(1e-3, 1e-1)), trainer, **how)
    study.run(trials=1, progress=False)
    return write_report(study, folder / "wide.html")


@pytest.mark.parametrize("report", ["written", "wide"])
def test_the_page_can_be_printed(report, request, chromium, screenshots):
    page = chromium.new_page(viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    page.goto(request.getfixturevalue(report).as_uri())
    page.screenshot(path=screenshots / f"report-print-{report}.png", full_page=True)
    hidden = "[...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth + 1).length"
    assert page.evaluate(hidden) == 0  # paper doesn't scroll
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.close()
