"""The benchmark that compares the speeds of crops and network."""

import re

from benchmarks import loader
from pipelines.datasets.synthetic import write_roads_folder


def test_it_compares_crops_network_and_training(tmp_path, monkeypatch, capsys):
    roads = write_roads_folder(tmp_path / "roads", train=1, valid=0, size=64)
    words = ["loader", str(roads), "--batches", "1", "--rounds", "1", "--workers", "0"]
    monkeypatch.setattr("sys.argv", words)
    loader.main()
    out = capsys.readouterr().out
    assert "dru-4, crop processes: 0" in out
    for name in ("crops", "network", "training"):
        assert re.search(rf"{name} .*\d\.\d\d \(\d", out)
