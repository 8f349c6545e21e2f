"""The report in a real browser: opens from disk, shows the right pixels under each box, obeys the keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.pages import make_pages
from tilekit.boxes.shapes import Polygons
from tilekit.labels.label_set import LabelSet
from tilekit.labels.predictions import PageDetections, PredictionSet
from tilekit.report.building import write_report
from tilekit.scans.encoding import decode_image
from tilekit.scans.opening import open_scan

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("report browser")]  # one browser for all
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    truth, poor, good = make_pages(folder / "scans")
    return write_report(folder / "report", truth, {"whole pages": poor, "tiles": good}).index


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "the report tests drive a real browser: install chromium"
    with sync_playwright() as tool:
        launched = tool.chromium.launch(executable_path=program, args=ARGS)
        yield launched
        launched.close()


class Watched:
    """A page that remembers everything that went wrong on it."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 900, scheme: Any = "light") -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page.set_default_timeout(120_000)
        self.problems: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._request)

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file://", "data:")):
            self.problems.append(f"leaves the folder: {request.url}")

    def _failed(self, request: Any) -> None:
        # A picture below the fold may still be on its way when the test goes to the next page.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.failure}: {request.url}")

    def open(self, path: Path, fragment: str = "") -> Page:
        self.page.goto(path.as_uri() + fragment)
        settle(self.page)
        return self.page


def settle(page: Page) -> None:
    """Wait until every picture on the page has come or failed."""
    page.wait_for_load_state("load")
    page.wait_for_function("[...document.images].every(image => image.complete || image.loading === 'lazy')")


def test_every_page_opens_without_a_problem(report: Path, browser: Browser) -> None:
    for scheme in ("light", "dark"):
        watched = Watched(browser, scheme=scheme)
        for path in [report, *sorted((report.parent / "pages").glob("*.html"))]:
            watched.open(path)
        assert watched.problems == []
        watched.page.close()


def test_links_and_pictures_of_the_summary_lead_somewhere(report: Path, browser: Browser) -> None:
    page = Watched(browser).open(report)
    links = page.eval_on_selector_all("a", "all => all.map(a => a.href)")
    assert len(links) > 3
    assert all(Path(link.removeprefix("file://").partition("#")[0]).exists() for link in links)
    assert page.eval_on_selector_all("img", "all => all.every(i => i.alt.length > 5)")
    assert "tiles" in page.inner_text("thead")
    page.close()


def test_phone_width_has_no_sideways_scroll(report: Path, browser: Browser) -> None:
    watched = Watched(browser, width=360, height=740)
    for path in (report, report.parent / "pages/00001.html"):
        page = watched.open(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    watched.page.close()


def test_the_first_screen_has_the_verdict_and_the_pair(
    report: Path, browser: Browser, tmp_path: Path
) -> None:
    """At three widths, light and dark: both pictures lie on the first screen, with pixels in them."""
    for width, height, scheme in ((1280, 900, "light"), (820, 1100, "dark"), (360, 740, "light")):
        watched = Watched(browser, width=width, height=height, scheme=scheme)
        page = watched.open(report)
        boxes = page.eval_on_selector_all(
            ".outcome, .pair img",
            "all => all.map(e => { const r = e.getBoundingClientRect(); return [r.bottom, r.width]; })",
        )
        assert len(boxes) == 3
        assert all(bottom < height and wide > width / 4 for bottom, wide in boxes)
        shot = tmp_path / f"{width}.png"
        page.screenshot(path=shot)
        assert decode_image(shot.read_bytes()).std() > 10
        assert watched.problems == []
        page.close()


def test_every_column_is_seen_on_a_phone(report: Path, browser: Browser) -> None:
    page = Watched(browser, width=360, height=740).open(report)
    seen = "all => all.map(e => { const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.width > 0; })"
    cells = page.eval_on_selector_all(".scroll td[data-of]", seen)
    assert len(cells) > 20
    assert all(cells)
    page.close()


def test_nothing_serious_for_people_who_cannot_see_or_point(report: Path, browser: Browser) -> None:
    axe = Axe()
    for scheme in ("light", "dark"):
        for path in (report, report.parent / "pages/00001.html"):
            page = Watched(browser, scheme=scheme).open(path)
            found = axe.run(page, options={"preload": False}).response["violations"]
            assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
            page.close()


def test_it_prints_on_a4_with_no_picture_cut(report: Path, browser: Browser, tmp_path: Path) -> None:
    page = Watched(browser).open(report)
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    page.emulate_media(media="print")
    kept = "all => all.every(e => getComputedStyle(e).breakInside === 'avoid')"
    assert page.eval_on_selector_all("figure, .gallery li, tr", kept)
    page.close()
    with open_scan(tmp_path / "report.pdf", dpi=72) as scan:
        assert (scan.width, scan.height) in {(595, 842), (596, 842), (595, 841), (596, 843)}
        assert scan.pages < 20


def test_the_key_n_goes_on_to_the_next_page(report: Path, browser: Browser) -> None:
    page = Watched(browser).open(report.parent / "pages/00001.html")
    errors = page.evaluate("window.TILEKIT_VIEWER.state.errors.length")
    for _ in range(errors):
        page.keyboard.press("n")
    assert "00001" in page.url
    page.keyboard.press("n")
    page.wait_for_url("**/00002.html*")
    settle(page)
    assert page.inner_text("#where").startswith("1 of ")
    page.keyboard.press("p")
    page.wait_for_url("**/00001.html*")
    settle(page)
    assert page.inner_text("#where").startswith(f"{errors} of ")
    page.close()


def counts(page: Page) -> str:
    return page.inner_text("#counts")


def test_layers_labels_scores_and_runs_switch(report: Path, browser: Browser) -> None:
    page = Watched(browser).open(report.parent / "pages/00001.html")
    drawn = "name => window.TILEKIT_VIEWER.map.hasLayer(window.TILEKIT_VIEWER.layers[name])"
    assert page.evaluate(drawn, "hit")
    page.keyboard.press("h")
    assert not page.evaluate(drawn, "hit")
    page.click("input[data-layer=grid]")
    assert page.evaluate(drawn, "grid")
    before = counts(page)
    page.select_option("#label", label="bar")
    bars = counts(page)
    assert bars != before
    page.select_option("#label", label="all")
    page.fill("#score", "0.99")
    assert counts(page).startswith(("0 hits", "1 hits"))
    page.fill("#score", "0")
    assert counts(page) == before
    page.select_option("#run", label="whole pages")
    assert counts(page) != before
    page.close()


def test_a_known_symbol_lies_under_its_box(report: Path, browser: Browser, tmp_path: Path) -> None:
    """Go to the first error: the missed red square must be in the middle of the screen, box around it."""
    page = Watched(browser).open(report.parent / "pages/00001.html")
    page.keyboard.press("n")
    assert "missed, square" in page.inner_text("#where")
    page.wait_for_timeout(300)
    settle(page)
    page.keyboard.press("m")  # the box itself would tint the pixels
    corner = page.evaluate(
        """() => { const v = window.TILEKIT_VIEWER, r = document.getElementById("map").getBoundingClientRect();
        const at = (x, y) => { const p = v.map.latLngToContainerPoint(v.point(x, y)); return [p.x + r.x, p.y + r.y]; };
        return [...at(100, 150), ...at(130, 180)]; }"""
    )
    shot = tmp_path / "shot.png"
    page.screenshot(path=shot)
    pixels = decode_image(shot.read_bytes())
    x0, y0, x1, y1 = (round(v) for v in corner)
    inside = pixels[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].reshape(-1, 3).mean(axis=0)
    left = pixels[y0:y1, x0 - 12 : x0 - 6].reshape(-1, 3).mean(axis=0)
    below = pixels[y1 + 6 : y1 + 12, x0:x1].reshape(-1, 3).mean(axis=0)
    assert np.abs(inside - (200, 30, 30)).max() < 25
    assert left.min() > 220
    assert below.min() > 220
    page.close()


def test_a_crop_of_the_gallery_leads_to_its_place(report: Path, browser: Browser) -> None:
    page = Watched(browser).open(report)
    page.click(".gallery a >> nth=0")
    settle(page)
    view = "window.TILEKIT_VIEWER.map"
    assert page.evaluate(f"{view}.getZoom() >= window.TILEKIT_PAGE.pyramid.top")
    page.close()


def test_shapes_are_drawn_as_outlines(browser: Browser, tmp_path: Path) -> None:
    """Pentagons beside the boxes: every box of truth and of the run is drawn with five corners, in its place."""
    truth, _, found = make_pages(tmp_path / "scans", count=1)
    (key,), page = truth, next(iter(found.pages()))

    def pentagons(boxes: Any) -> Polygons:
        return Polygons.of(
            [
                [[x0, y0, x1, y0, x1, (y0 + y1) / 2, (x0 + x1) / 2, y1, x0, y1]]
                for x0, y0, x1, y1 in boxes.tolist()
            ]
        )

    labels = LabelSet(
        {key: truth[key].replaced(shapes=pentagons(truth[key].boxes))}, sizes=truth.sizes, names=truth.names
    )
    seen = page.detections.replaced(shapes=pentagons(page.detections.boxes))
    run = PredictionSet([PageDetections(key, page.width, page.height, seen, page.tilings)])
    index = write_report(tmp_path / "report", labels, {"tiles": run}).index
    watched = Watched(browser)
    opened = watched.open(index.parent / "pages/00001.html")
    drawn = opened.evaluate(
        """() => Object.fromEntries(["truth", "hit", "miss", "false"].map(name => {
        const rings = [];
        window.TILEKIT_VIEWER.layers[name].eachLayer(shape => rings.push(shape.getLatLngs().flat(9)));
        return [name, rings.map(ring => ring.length)]; }))"""
    )
    assert set(drawn["truth"] + drawn["hit"] + drawn["miss"] + drawn["false"]) == {5}
    assert (len(drawn["miss"]), len(drawn["false"])) == (1, 1)
    far = opened.evaluate(
        """() => { const v = window.TILEKIT_VIEWER; let shape;
        v.layers.false.eachLayer(one => { shape = one; });
        const at = shape.getLatLngs().flat(9)[3], wanted = v.point(920, 940);
        const [lat, lng] = Array.isArray(wanted) ? wanted : [wanted.lat, wanted.lng];
        return Math.abs(at.lat - lat) + Math.abs(at.lng - lng); }"""
    )
    assert far < 1e-6
    assert watched.problems == []
    opened.close()
