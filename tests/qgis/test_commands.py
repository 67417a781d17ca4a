"""The command lines that the QGIS plugin runs: they are ours, and QGIS's libraries stay out."""

import inspect
import shlex

import pytest

from flows.cli.json_progress import ASKED
from flows.cli.signature import with_fields
from flows.table import FLOWS


@pytest.fixture(scope="module")
def commands(plugin_module):
    return plugin_module("commands")


def test_every_field_becomes_an_option(commands):
    assert commands.find_roads("s.tif", "out") == [
        "infer-roads", "s.tif", "--output", "out", "--lines",
    ]  # fmt: skip
    assert commands.find_roads(
        "s.tif", "out", model="roads-unet-gn", lines=False, threshold=0.4, area="a.geojson",
        more="--tile 256 --bands '4, 3,2'",
    ) == shlex.split(
        "infer-roads s.tif --output out --model roads-unet-gn --threshold 0.4 --aoi a.geojson "
        "--tile 256 --bands '4, 3,2'"
    )  # fmt: skip
    assert commands.vectorise_mask("m.tif", "out", tolerance=0.5, longest_gap=0) == shlex.split(
        "vectorise m.tif --output out --tolerance 0.5 --longest-gap 0"
    )
    assert commands.compare_with_labels("m.tif", "l.gpkg", "out", label_width=7) == shlex.split(
        "evaluate m.tif --labels l.gpkg --output out --label-width 7m"
    )


@pytest.mark.parametrize(
    ("make", "options"),
    [
        ("find_roads", {"model": "m", "threshold": 1, "area": "a"}),
        ("vectorise_mask", {"tolerance": 1, "longest_gap": 1}),
        ("compare_with_labels", {"labels": "l", "label_width": 1}),
    ],
)
def test_our_command_lines_know_the_options(commands, make, options):
    command, *words = getattr(commands, make)("in.tif", output="out", **options)
    signature = inspect.signature(with_fields(FLOWS[command].config(), lambda values: values, ""))
    known = {"--" + name.replace("_", "-") for name in signature.parameters}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_child_does_not_see_where_qgis_keeps_its_libraries(commands):
    own = {"PYTHONHOME": "/qgis", "PROJ_LIB": "/qgis/proj", "GDAL_DATA": "/q", "PATH": "/bin"}
    theirs = commands.environment(own)
    assert not {"PYTHONHOME", "PROJ_LIB", "GDAL_DATA"} & set(theirs)
    assert theirs["PATH"] == "/bin"
    assert theirs[ASKED] == "json"


def test_a_layer_is_its_file_and_one_without_is_refused(commands, tmp_path):
    path = tmp_path / "roads.gpkg"
    path.touch()
    assert commands.file_of(f"{path}|layername=roads|geometrytype=Line") == str(path)
    assert (
        commands.file_of("/vsicurl/https://a.example/s.tif") == "/vsicurl/https://a.example/s.tif"
    )
    with pytest.raises(ValueError, match="not a file; save the layer as"):
        commands.file_of("type=xyz&url=https://a.example/{z}/{x}/{y}.png")
