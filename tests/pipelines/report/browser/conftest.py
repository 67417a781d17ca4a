"""Pages in a real browser, opened as files; skipped where there is none."""

import shutil

import pytest

from pipelines.report.zoom.placed import FOLDER

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None
)

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="package")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page from a file; at the end nothing but its own tiles may have been asked for, and
    nothing complained of.
    """
    contexts, complaints, requests = [], [], []

    def opened(html, *, width=1200, height=900, **options):
        file = tmp_path / "report.html"
        file.write_text(html, encoding="utf-8")
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    beside = (tmp_path / FOLDER).as_uri() + "/"
    others = [url for url in requests if not url.startswith(("data:", "blob:", beside))]
    assert others == [(tmp_path / "report.html").as_uri()] * len(contexts)
