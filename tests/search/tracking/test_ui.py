"""MLflow's own UI, in a real browser, shows a study as its users expect. Pictures are left to be looked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from contracts.tracked import WARNINGS, free_port, wait_for
from mlflow.tracking import MlflowClient

import leadline as ll
from leadline.search.tracking.links import comparison_link

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = WARNINGS

SEARCHED = ("depth", "feature_maps", "lr", "dropout", "weight_decay")
AXES = ("depth", "feature_maps", "log10.lr", "dropout", "log10.weight_decay", "objective")
TRIALS = 8
QUIET = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"  # no assistant over the page


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ll.Study:
    """A study that is logged beside its studies, as it comes."""
    space = ll.Space(
        depth=ll.Int(1, 3),
        feature_maps=ll.Choice([8, 16, 32]),
        lr=ll.Float(1e-3, 1e-1, log=True),
        dropout=ll.Float(0.0, 0.5),
        weight_decay=ll.Float(1e-6, 1e-2, log=True),
    )
    made = ll.Study(
        "digits-mlp",
        space,
        ll.Trainer("mlp", data="digits", epochs=6),
        strategy="random",
        pruner="median",
        storage=tmp_path_factory.mktemp("ui") / "studies",
        executor="inline",
        lanes=1,
    )
    return made.run(trials=TRIALS, progress=False)


@pytest.fixture(scope="module")
def link(study: ll.Study) -> Iterator[str]:
    """The page that `leadline ui` says to open, while it serves."""
    port = free_port()
    command = [sys.executable, "-c", "from leadline.cli import main; main()", "ui", study.name, "--port", str(port)]
    command += ["--storage", str(study.storage), "--json"]
    log = Path(str(study.storage)) / "ui.log"
    with (
        open(log, "wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True) as ui,
    ):
        assert ui.stdout is not None
        told = b"".join(iter(ui.stdout.readline, b"}\n")) + b"}"
        try:
            wait_for(f"http://127.0.0.1:{port}", ui, log)
            yield json.loads(told)["page"]
        finally:
            os.killpg(ui.pid, signal.SIGTERM)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page as wide as a laptop's; a test waits at most a minute for what should be on it."""
    with chromium.new_context(viewport={"width": 1600, "height": 1000}) as context:
        context.add_init_script(QUIET)
        context.set_default_timeout(60_000)
        yield context.new_page()


def server_of(link: str) -> str:
    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}"


def headings(page: Page) -> set[str]:
    """The names of a table's columns."""
    return {cell.inner_text().strip() for cell in page.locator(".ag-header-cell").all()}


def test_the_runs_table_shows_the_study_with_its_trials_beneath(
    study: ll.Study, link: str, page: Page, screenshots: Path
) -> None:
    page.goto(link.split("?")[0] + "?workflowType=machine_learning")
    page.get_by_role("link", name=study.name, exact=True).last.wait_for()
    page.locator(".ag-row button").first.click()  # unfolds the study
    for number in range(TRIALS):
        page.get_by_role("link", name=f"trial {number}", exact=True).wait_for()
    page.screenshot(path=screenshots / "mlflow-parent.png")


def test_the_view_that_is_saved_has_a_column_for_each_parameter_and_the_best_trial_first(
    study: ll.Study, link: str, page: Page, screenshots: Path
) -> None:
    page.goto(link.replace("compareRunsMode=CHART", "compareRunsMode=TABLE"))
    page.get_by_role("link", name=f"trial {study.best.number}", exact=True).wait_for()
    assert headings(page) >= {*SEARCHED, "objective", "epochs"}
    names = page.locator(".ag-pinned-left-cols-container .ag-row a").all_inner_texts()
    assert len(names) == TRIALS
    assert names[0] == f"trial {study.best.number}"
    page.screenshot(path=screenshots / "mlflow-table.png")


def test_the_page_that_ui_opens_has_parallel_coordinates_and_the_curves_of_all_trials(
    link: str, page: Page, screenshots: Path
) -> None:
    page.goto(link)
    page.locator(".parcoords .axis").first.wait_for()
    axes = page.locator(".parcoords text.label").all_text_contents()
    assert [name for name in axes if name in AXES] == list(AXES)
    curves = page.locator(".js-plotly-plot .scatterlayer").first
    curves.wait_for()
    assert curves.locator(".trace").count() >= TRIALS
    page.screenshot(path=screenshots / "mlflow-charts.png")


def test_trials_that_are_compared_have_parallel_coordinates_and_a_table_of_what_differs(
    study: ll.Study, link: str, page: Page, screenshots: Path
) -> None:
    server = server_of(link)
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`leadline.kind` = 'trial'")
    page.goto(comparison_link(server, experiment.experiment_id, [run.info.run_id for run in found]))
    plot = page.locator(".js-plotly-plot")
    plot.locator(".axis-title").first.wait_for()
    page.get_by_role("combobox").first.click()  # which parameters the plot has
    for name in set(AXES[:-1]) - set(plot.locator(".axis-title").all_text_contents()):
        page.locator(f".du-bois-light-select-item-option[title='{name}']").click()
    page.keyboard.press("Escape")
    plot.locator(".axis-title", has_text="log10.weight_decay").wait_for()
    assert set(plot.locator(".axis-title").all_text_contents()) > set(AXES[:-1])
    differing = page.locator("table").filter(has_text="dropout").first.inner_text()
    assert all(name in differing for name in SEARCHED)
    page.screenshot(path=screenshots / "mlflow-compare.png")


def test_the_artifacts_show_the_report(study: ll.Study, link: str, page: Page, screenshots: Path) -> None:
    server = server_of(link)
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(study.name)
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`leadline.kind` = 'study'")
    page.goto(f"{server}/#/experiments/{experiment.experiment_id}/runs/{parent.info.run_id}/artifacts")
    page.get_by_text("report.html", exact=True).first.click()
    report = page.frame_locator("iframe")
    report.get_by_role("heading", name=study.name).wait_for()
    page.screenshot(path=screenshots / "mlflow-report.png")
