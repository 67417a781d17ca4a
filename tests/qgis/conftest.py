"""The plugin's modules that need no QGIS, imported as QGIS imports them."""

import importlib
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "qgis"


@pytest.fixture(scope="session")
def plugin_module():
    """Imports a module of the plugin."""
    sys.path.insert(0, str(PLUGINS))
    yield lambda name: importlib.import_module(f"rurnet_qgis.{name}")
    sys.path.remove(str(PLUGINS))


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """A program that is `rurnet`, whatever environment it is called with."""
    path = tmp_path_factory.mktemp("bin") / "rurnet"
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH="{PLUGINS.parent}" exec "{sys.executable}" -m flows "$@"\n'
    )
    path.chmod(0o755)
    return str(path)
