"""The benchmark of a device, on the CPU."""

import re

import pytest

from benchmarks import device


@pytest.fixture(scope="module")
def table():
    """What is printed, small."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("TILE", 64),
            ("OVERLAP", 16),
            ("FRAME", (32, 48)),
            ("BATCHES", (1, 2)),
        ):
            patch.setattr(device, name, value)
        words = ["device", "--device", "cpu", "--size", "150", "--seconds", "0.01", "--batch", "2"]
        patch.setattr("sys.argv", words)
        printed = []
        patch.setattr("builtins.print", lambda *said, **_: printed.append(said[0]))
        device.main()
    return dict(re.findall(r"\| (.+?) \| (.+?) \|", "\n".join(printed)))


def test_the_cpu_is_like_itself_and_no_cut_shows(table):
    assert table["like the CPU's: largest difference"] == "0.00000"
    assert table["like the CPU's: mask pixels that differ"] == "0 of 16384"
    assert [value for name, value in table.items() if name.startswith("same bytes")] == ["yes"] * 2


def test_every_rate_is_measured(table):
    rates = {
        "file to file, steps: 1", "file to file, steps: 3", "bare network, steps: 2",
        "frames of 230 x 306, batch 1", "frames of 230 x 306, best", "training, 32 bits",
    }  # fmt: skip
    for name in rates:
        assert float(table[name].split()[0]) > 0, name
