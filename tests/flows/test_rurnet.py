"""The command `rurnet`."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flows.__main__ import TOOLS
from flows.table import FLOWS

ROOT = Path(__file__).parents[2]


def rurnet(*words, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "flows", *words], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PREFECT_HOME": str(cwd / "prefect-home"), **environment},
    )  # fmt: skip


def test_the_package_has_an_entry_point_of_that_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"rurnet": "flows.__main__:main"}


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)], ids=["bare", "help", "h"])
def test_help_lists_every_command_in_a_line(words, tmp_path):
    done = rurnet(*words, cwd=tmp_path)
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if line.startswith("  ")]
    assert lines == sorted(lines, key=lambda line: list(FLOWS | TOOLS).index(line.split()[0]))
    assert [line.split(maxsplit=1) for line in lines] == [
        [name, each.help] for name, each in (FLOWS | TOOLS).items()
    ]
    assert max(map(len, lines)) <= 100


def test_an_unknown_command_is_status_2_and_one_line(tmp_path):
    done = rurnet("infer-rivers", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: no command is called infer-rivers; see rurnet --help\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("infer-roads", "--tile", "8"), "See rurnet infer-roads --help"),
        (("networks", "dru-5"), "rurnet networks: error: unknown network dru-5"),
        (("export", "roads-dru4"), "required: NAME"),
        (("demo", "--fast"), "rurnet demo: error: unrecognized arguments: --fast"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_gets_the_words_that_follow_it(words, said, tmp_path):
    done = rurnet(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_serve_has_the_options_of_its_module(tmp_path):
    done = rurnet("serve", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: rurnet serve")
    for option in ("--port", "--limit"):
        assert option in done.stdout


COMPLETE = """
source ./script
COMP_WORDS=(rurnet "$@")
COMP_CWORD=$#
_rurnet
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """What bash offers for the last of some words, in a folder with a scene."""
    folder = tmp_path_factory.mktemp("completion")
    done = rurnet(
        "--install-completion",
        "--shell",
        "bash",
        "--output",
        "script",
        cwd=folder,
        HOME=str(folder),
    )
    assert done.returncode == 0, done.stderr
    assert "/script" in (folder / ".bashrc").read_text()
    (folder / "scene.tif").touch()

    def offered(*words):
        return subprocess.run(
            ["bash", "--norc", "-c", COMPLETE, "bash", *words],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip

    return offered


def test_a_shell_completes_commands_options_values_and_files(complete):
    assert set(complete("")) == {name for name in FLOWS | TOOLS if not name.startswith("-")}
    assert complete("infer-") == ["infer-roads", "infer-drive"]
    assert complete("infer-roads", "sce") == ["scene.tif"]
    assert complete("infer-roads", "scene.tif", "--d") == [
        "--dtype",
        "--device",
        "--dry-run",
        "--deadline",
    ]
    assert complete("infer-roads", "--dtype", "") == ["uint8", "float32"]
    assert complete("infer-roads", "--labels", "sce") == ["scene.tif"]
    assert complete("export", "sce") == ["scene.tif"]
    assert complete("serve", "--p") == ["--port"]
