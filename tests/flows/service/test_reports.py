"""Reports in a browser: a report's own files are served, and nothing else of the disk."""

import urllib.error
import urllib.request

import pytest

from flows.service.reports import link_to, reports_served


def answer(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:
            return reply.status, reply.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.html", (200, "text/html; charset=utf-8")),
        ("report-tiles/1/0-0-1-image.jpeg", (200, "image/jpeg")),
        ("report-tiles/1/0-0-1-overlay.webp", (200, "image/webp")),
        ("report-tiles/1/secret.jpeg", (404, None)),
        ("1/0-0-1-image.jpeg", (404, None)),
        ("manifest.json", (404, None)),
    ],
)
def test_a_report_is_served_with_its_tiles_and_no_other_file(tmp_path, name, expected):
    for one in ("report.json", "report.html", name):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).write_bytes(b"x")
    with reports_served(0):
        assert answer(link_to(tmp_path / name)) == expected


def test_tiles_without_a_report_are_not_served(tmp_path):
    tile = tmp_path / "report-tiles" / "1" / "0-0-0-image.jpeg"
    tile.parent.mkdir(parents=True)
    tile.write_bytes(b"x")
    with reports_served(0):
        assert answer(link_to(tile)) == (404, None)
