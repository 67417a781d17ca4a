"""`rurnet catalogue`: what lies beside the files of a run, read by pystac."""

import hashlib
import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from affine import Affine

from flows.cli.catalogue import catalogue as command
from flows.operations.tool import run_tool
from pipelines.catalogue.write import catalogue
from pipelines.config.inference import InferRoads
from pipelines.config.lines import Vectorise
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import DataError
from pipelines.inference.run import infer_roads
from pipelines.lines.run import vectorise_rasters
from pipelines.models.names import find
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL

pystac = pytest.importorskip("pystac", reason="pystac is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_raster):
    """A run over a scene in EPSG:32611 and one without coordinates, with its catalogue."""
    folder = tmp_path_factory.mktemp("run")
    write_road_scene(folder / "in" / "town.tif", None, 96, 1)
    pixels = np.full((3, 70, 80), 90, np.uint8)
    write_raster(folder / "in" / "sketch.tif", pixels, crs=None, transform=Affine.identity())
    config = InferRoads(
        scenes=[str(folder / "in")], output=folder / "out", lines=True, **ROADS_SMALL
    )
    assert not infer_roads(config, Silence()).failed
    catalogue(folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def collection(run):
    return pystac.Collection.from_file(str(run / "collection.json"))


@pytest.fixture(scope="module")
def town(collection):
    return collection.get_item("town")


def of_the_specification(*objects):
    """Checks what is there against the schemas that pystac ships: those of STAC itself."""
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    validator = JsonSchemaSTACValidator()
    for each in objects:
        kind = pystac.STACObjectType(each["type"])
        validator.validate_core(each, kind, each["stac_version"])


def test_everything_is_valid_stac(run):
    paths = [run / name for name in ("collection.json", "model.json", "town/item.json",
                                     "sketch/item.json")]  # fmt: skip
    of_the_specification(*(json.loads(path.read_text()) for path in paths))


def test_a_reader_finds_every_scene_from_the_collection_and_back(run, collection):
    assert sorted(item.id for item in collection.get_items()) == ["sketch", "town"]
    for item in collection.get_items():
        assert item.get_collection().id == collection.id == "out"
        assert item.get_parent() is collection


def test_all_links_are_relative_and_lead_to_files(run):
    for path in (run / "collection.json", run / "town/item.json"):
        contents = json.loads(path.read_text())
        hrefs = [each["href"] for each in contents["links"]]
        hrefs += [each["href"] for each in contents["assets"].values()]
        assert hrefs
        for href in hrefs:
            assert href.startswith("."), href
            assert (path.parent / href).resolve().is_file(), href


def test_a_catalogue_that_was_moved_still_leads_to_its_rasters(run, tmp_path):
    shutil.copytree(run, tmp_path / "elsewhere")
    collection = pystac.Collection.from_file(str(tmp_path / "elsewhere/collection.json"))
    href = collection.get_item("town").assets["mask"].get_absolute_href()
    assert href == str(tmp_path / "elsewhere/town/mask.tif")


def test_an_item_lies_where_its_rasters_lie(run, town):
    with rasterio.open(run / "town/mask.tif") as mask:
        bounds = rasterio.warp.transform_bounds(mask.crs, "EPSG:4326", *mask.bounds)
        assert town.bbox == pytest.approx(bounds, abs=1e-5)
        assert town.properties["proj:code"] == mask.crs.to_string()
        assert town.properties["proj:shape"] == list(mask.shape)
        assert town.properties["proj:transform"] == list(mask.transform)[:6]


def test_assets_have_media_types_roles_and_bands(town):
    told = {name: (each.media_type, each.roles) for name, each in town.assets.items()}
    assert told == {
        "probability": (pystac.MediaType.COG, ["data"]),
        "mask": (pystac.MediaType.COG, ["data"]),
        "lines": (pystac.MediaType.GEOPACKAGE, ["data"]),
        "manifest": (pystac.MediaType.JSON, ["metadata"]),
    }
    [band] = town.assets["probability"].to_dict()["bands"]
    assert band["raster:scale"] == pytest.approx(1 / 254)
    assert (band["data_type"], band["nodata"]) == ("uint8", 255)
    classes = town.assets["mask"].to_dict()["classification:classes"]
    assert [(one["value"], one["name"]) for one in classes] == [(0, "background"), (1, "road")]


def test_an_item_says_what_made_it(run, town):
    report = json.loads((run / "report.json").read_text())
    assert town.properties["processing:software"] == {"RurNet": report["version"]}
    assert report["model"]["weights_sha256"] in town.properties["processing:lineage"]
    assert town.properties["rurnet:input"] == report["scenes"][1]["input"]
    [link] = [each for each in town.links if each.rel == "derived_from"]
    assert link.href == "../model.json"


def test_readers_of_the_extensions_find_every_field(run, town):
    with rasterio.open(run / "town/mask.tif") as mask:
        place = town.ext.proj
        assert place.code == mask.crs.to_string()
        assert (place.shape, place.transform) == (list(mask.shape), list(mask.transform)[:6])
        assert place.bbox == list(mask.bounds)
    classes = town.assets["mask"].ext.classification.classes
    assert [(one.value, one.name) for one in classes] == [(0, "background"), (1, "road")]
    report = json.loads((run / "report.json").read_text())
    model = pystac.Item.from_file(str(run / "model.json")).ext.mlm
    assert (model.mlm_name, model.architecture, model.framework) == (
        "roads-dru4-wide", report["model"]["network"], "PyTorch",
    )  # fmt: skip
    assert model.tasks == ["semantic-segmentation"]
    assert model.hyperparameters.to_dict() == {"steps": report["model"]["steps"]}
    [image], [logits] = model.input, model.output
    assert image.input.shape == [-1, 3, -1, -1]
    assert image.input.dim_order == ["batch", "channel", "height", "width"]
    # The extension has a list here, where pystac 1.15's class takes it for one object.
    assert [one["type"] for one in image.to_dict()["value_scaling"]] == ["z-score"] * 3
    assert logits.result.shape == [-1, 2, -1, -1]
    assert [one.name for one in logits.classes] == ["background", "road"]


def test_shipped_weights_are_named_by_package_and_digest(run):
    text = (run / "model.json").read_text()
    model = pystac.Item.from_file(str(run / "model.json"))
    report = json.loads((run / "report.json").read_text())
    weights = model.assets["weights"]
    assert weights.roles == ["mlm:model"]
    assert weights.href == (
        f"pkg:pypi/rurnet@{report['version']}#pipelines/models/shipped/roads-dru4-wide.safetensors"
    )
    assert weights.get_absolute_href() == weights.href
    whole = hashlib.sha256(find("roads-dru4-wide").read_bytes()).hexdigest()
    assert weights.extra_fields["rurnet:sha256"] == whole
    assert whole.startswith(report["model"]["weights_sha256"])
    assert str(run.parent) not in text
    assert "file:" not in text


def test_weights_of_ones_own_have_a_relative_path_and_a_name_that_is_allowed(run, tmp_path):
    shutil.copytree(run, tmp_path / "out")
    path = tmp_path / "weights" / "2024_roads.safetensors"
    path.parent.mkdir()
    shutil.copy(find("roads-dru4-wide"), path)
    report = json.loads((run / "report.json").read_text())
    report["settings"]["model"] = [str(path)]
    (tmp_path / "out/report.json").write_text(json.dumps(report))
    catalogue(tmp_path / "out")
    model = pystac.Item.from_file(str(tmp_path / "out/model.json"))
    assert model.assets["weights"].href == "../weights/2024_roads.safetensors"
    assert model.assets["weights"].get_absolute_href() == str(path)
    assert model.properties["mlm:name"] == "weights-2024_roads"


def test_a_scene_without_coordinates_has_an_item_without_geometry(collection):
    sketch = collection.get_item("sketch")
    assert (sketch.geometry, sketch.bbox) == (None, None)
    assert not any(name.startswith("proj:") for name in sketch.properties)
    assert collection.extent.spatial.bboxes == [collection.get_item("town").bbox]


def test_two_writings_give_the_same_bytes(run):
    before = (run / "town/item.json").read_bytes()
    catalogue(run)
    assert (run / "town/item.json").read_bytes() == before


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"report.json: no such file; give the --output folder"):
        catalogue(tmp_path)


def test_a_scene_that_a_stac_item_names_keeps_its_id_and_date_and_leads_back_to_it(run, tmp_path):
    taken = datetime(2024, 5, 31, 10, 30, tzinfo=UTC)
    source = pystac.Item("august", None, None, taken, {})
    source.add_asset("visual", pystac.Asset(str(run.parent / "in/town.tif")))
    source.save_object(include_self_link=False, dest_href=str(tmp_path / "source.json"))
    config = InferRoads(
        scenes=[str(tmp_path / "source.json")], output=tmp_path / "out", **ROADS_SMALL
    )
    assert not infer_roads(config, Silence()).failed
    catalogue(tmp_path / "out", taken=datetime(1999, 1, 1, tzinfo=UTC))
    made = pystac.Item.from_file(str(tmp_path / "out/august/item.json"))
    assert made.datetime == taken
    assert "../../source.json" in [each.href for each in made.links]


def test_lines_that_were_made_of_rasters_elsewhere_lie_where_those_do(run, town, tmp_path):
    config = Vectorise(predictions=[str(run / "town" / "mask.tif")], output=tmp_path / "lines")
    [entry] = vectorise_rasters(config, Silence()).report.scenes
    catalogue(tmp_path / "lines")
    made = pystac.Item.from_file(str(tmp_path / "lines" / entry.name / "item.json"))
    assert made.geometry == town.geometry
    assert list(made.assets) == ["lines"]
    of_the_specification(made.to_dict())


def test_the_collection_has_the_files_of_the_run_as_a_whole(run, tmp_path):
    config = Vectorise(
        predictions=[str(run / "town" / "mask.tif")], output=tmp_path / "lines", join=True
    )
    vectorise_rasters(config, Silence())
    catalogue(tmp_path / "lines")
    made = pystac.Collection.from_file(str(tmp_path / "lines/collection.json"))
    of_the_specification(made.to_dict())
    assert made.assets["joined_lines"].href == "./lines.gpkg"
    assert made.assets["joined_lines"].media_type == "application/geopackage+sqlite3"
    beside = {one.name for one in (tmp_path / "lines").iterdir() if one.is_file()}
    named = {one.href.removeprefix("./") for one in made.assets.values()}
    assert named == beside - {"collection.json"}
    assert "joined_lines" not in pystac.Collection.from_file(str(run / "collection.json")).assets


def test_scenes_that_the_report_does_not_tell_of_are_named(run, tmp_path, caplog):
    shutil.copytree(run, tmp_path / "out")
    catalogue(tmp_path / "out")
    assert "of other runs" not in caplog.text
    shutil.copytree(run / "town", tmp_path / "out" / "village")
    (tmp_path / "out" / "notes").mkdir()
    catalogue(tmp_path / "out")
    assert "and so not in the collection: village; predict all" in caplog.text


def test_the_command_takes_a_date_for_scenes_that_have_none(run, capsys):
    with pytest.raises(SystemExit) as ended:
        run_tool(command, "rurnet catalogue", [str(run), "--taken", "2024-05-31"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{run / 'collection.json'}\n"
    town = pystac.Item.from_file(str(run / "town/item.json"))
    assert town.datetime == datetime(2024, 5, 31, tzinfo=UTC)
