"""The table of networks that `python -m rurnet` prints."""

import re
import subprocess
import sys
from pathlib import Path

from torch import nn

from rurnet import NETWORKS, SegmentationNetwork
from rurnet.cost import cost

ROOT = Path(__file__).parents[2]


def table(*names):
    return subprocess.run(
        [sys.executable, "-m", "rurnet", *names], cwd=ROOT, capture_output=True, text=True
    )


def test_a_network_has_a_row_with_the_papers_figure_beside_ours():
    result = table("dru-4", "unet-gn")
    assert result.returncode == 0, result.stderr
    heading, dru, unet, *_ = result.stdout.splitlines()
    assert heading.split()[:4] == ["network", "steps", "parameters", "paper"]
    assert dru.split()[:6] == ["dru-4", "3", "0.389", "M", "0.36", "M"]
    assert unet.split()[:4] == ["unet-gn", "1", "0.487", "M"]
    assert float(dru.split()[-1]) > 0


def test_an_unknown_network_is_refused_and_the_known_ones_are_listed():
    result = table("dru-5")
    assert result.returncode == 2
    assert "dru-5" in result.stderr
    assert "dru-4" in result.stderr


def test_a_multiply_add_of_a_convolution_is_counted_once():
    class Single(SegmentationNetwork):
        def __init__(self):
            super().__init__(3, 2, steps=1)
            self.classify = nn.Conv2d(3, 2, 3, padding=1)

        def _step(self, image, mask, hidden):
            return self.classify(image), hidden

    assert cost(Single(), 20) == (0, 20 * 20 * 3 * 3 * 3 * 2)


def test_every_network_is_in_the_documentation():
    page = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    for name in NETWORKS:
        listed = re.sub(r"^([ds]ru)-\d$", r"\1-0` ... `\1-4", name)
        assert f"`{listed}`" in page
