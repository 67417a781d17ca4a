"""STAC catalogues, items and saved searches as scenes."""

import json
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.inputs.discovery import road_inputs
from tiling.errors import SceneError

pystac = pytest.importorskip("pystac", reason="pystac is not installed")

TAKEN = datetime(2024, 5, 31, 10, 30, tzinfo=UTC)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]],
}


def item(name, *, collection=None, **assets):
    """An item with assets by name: an href, or an href, a media type and roles."""
    made = pystac.Item(name, SQUARE, [0, 0, 1, 1], TAKEN, {}, collection=collection)
    for key, told in assets.items():
        href, kind, roles = told if isinstance(told, tuple) else (told, None, None)
        made.add_asset(key, pystac.Asset(href, media_type=kind, roles=roles))
    return made


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory, write_raster):
    """A catalogue of two collections, `town` of the items t1 and t2, and `land` of the item l1."""
    folder = tmp_path_factory.mktemp("stac")
    root = pystac.Catalog("root", "Everything")
    extent = pystac.Extent(
        pystac.SpatialExtent([[0, 0, 1, 1]]), pystac.TemporalExtent([[TAKEN, None]])
    )
    for collection, names in (("town", ("t1", "t2")), ("land", ("l1",))):
        child = pystac.Collection(collection, "Scenes", extent)
        root.add_child(child)
        for name in names:
            child.add_item(item(name, visual=("./image.tif", pystac.MediaType.COG, ["visual"])))
            pixels = np.full((3, 40, 50), 90, np.uint8)
            write_raster(folder / collection / name / "image.tif", pixels)
    root.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


@pytest.fixture
def saved(tmp_path):
    """Saves items as a search of pystac-client does; returns the name of the file."""

    def save(*items, name="found.json"):
        pystac.ItemCollection(items).save_object(str(tmp_path / name))
        return str(tmp_path / name)

    return save


def names(*sources, labels=None):
    return [one.name for one in road_inputs([str(one) for one in sources], labels)]


def error_of(source):
    [scene] = road_inputs([source], None)
    with pytest.raises((DataError, SceneError)) as caught, scene.open():
        pass
    return str(caught.value)


def test_every_item_of_a_catalogue_is_a_scene_called_by_its_id(catalogue):
    assert names(catalogue) == ["t1", "t2", "l1"]
    assert names(f"{catalogue}#collection=land") == ["l1"]
    assert names(f"{catalogue}#collection=town&item=t2") == ["t2"]
    assert names(catalogue.parent / "town" / "collection.json") == ["t1", "t2"]
    assert names(catalogue.parent / "town" / "t1" / "t1.json") == ["t1"]


def test_a_path_in_an_item_is_relative_to_its_file(catalogue):
    [scene] = road_inputs([f"{catalogue}#collection=land"], None)
    assert scene.source == str(catalogue.parent / "land/l1/image.tif")
    with scene.open() as opened:
        assert (opened.scene.height, opened.scene.width) == (40, 50)


@pytest.mark.parametrize("file", ["Straße 1.tif", "100%25 cloud.tif", "a%20b.tif"])
def test_an_href_may_be_written_as_a_uri_or_as_it_is(saved, tmp_path, write_raster, file):
    write_raster(tmp_path / file, np.full((3, 40, 50), 90, np.uint8))
    for href in (f"./{file}", f"./{quote(file)}", (tmp_path / file).as_uri(), str(tmp_path / file)):
        [scene] = road_inputs([saved(item("a", visual=href))], None)
        with scene.open() as opened:
            assert (opened.scene.height, opened.scene.width) == (40, 50)


def test_files_that_were_downloaded_are_read_though_the_item_keeps_its_address(saved, catalogue):
    image = str(catalogue.parent / "town/t1/image.tif")
    found = item("a", visual=image, gone="/nowhere/b.tif")
    found.set_self_href("https://api.example/items/a")
    search = saved(found)
    [scene] = road_inputs([f"{search}#asset=visual"], None)
    assert scene.source == image
    [scene] = road_inputs([f"{search}#asset=gone"], None)
    assert scene.source == "https://api.example/nowhere/b.tif"


def test_a_scene_knows_its_item_and_when_it_was_taken(catalogue):
    [scene] = road_inputs([f"{catalogue}#collection=land"], None)
    told = scene.stac_item
    assert (told.id, told.collection, told.taken) == ("l1", "land", "2024-05-31T10:30:00+00:00")
    assert told.href == str(catalogue.parent / "land/l1/l1.json")


def test_labels_are_named_after_the_item(catalogue, tmp_path, write_raster):
    write_raster(tmp_path / "l1.tif", np.zeros((1, 40, 50), np.uint8))
    [scene] = road_inputs([f"{catalogue}#collection=land"], tmp_path)
    with scene.open() as opened:
        assert opened.label.name == str(tmp_path / "l1.tif")


def test_a_saved_search_gives_a_scene_for_each_item(saved, catalogue):
    image = str(catalogue.parent / "town/t1/image.tif")
    search = saved(item("a", data=image), item("b", data=image, collection="town"))
    assert names(search) == ["a", "b"]
    assert names(f"{search}#collection=town") == ["b"]
    assert names(catalogue, search) == ["t1", "t2", "l1", "a", "b"]


@pytest.mark.parametrize(
    ("assets", "chosen"),
    [
        ({"image": ("x.tif", None, ["data"]), "thumb": ("t.png", None, ["thumbnail"])}, "x.tif"),
        (
            {
                "B02": ("b2.tif", None, ["data"]), "B03": ("b3.tif", None, ["data"]),
                "visual": ("rgb.tif", None, ["data"]),
            },
            "rgb.tif",
        ),
        (
            {
                "visual": ("rgb.tif", None, ["visual"]),
                "visual-jp2": ("rgb.jp2", None, ["visual"]),
                "rendered_preview": ("p.png", "image/png", ["overview"]),
            },
            "rgb.tif",
        ),
        ({"a": ("a.tif", None, ["visual"]), "b": ("b.tif", None, ["data"])}, "a.tif"),
        ({"a": ("ortho", "image/tiff", None), "b": ("b.json", None, ["metadata"])}, "ortho"),
    ],
)  # fmt: skip
def test_the_asset_is_chosen_by_its_roles(saved, tmp_path, assets, chosen):
    [scene] = road_inputs([saved(item("a", **assets))], None)
    assert scene.source == str(tmp_path / chosen)


def test_the_asset_may_be_named(saved, tmp_path):
    search = saved(item("a", red=("r.tif", None, ["data"]), blue=("b.tif", None, ["data"])))
    [scene] = road_inputs([f"{search}#asset=blue"], None)
    assert scene.source == str(tmp_path / "b.tif")


def test_an_item_without_a_scene_fails_alone_and_says_what_to_do(saved, catalogue):
    red_blue = {"red": ("r.tif", None, ["data"]), "blue": ("b.tif", None, ["data"])}
    image = str(catalogue.parent / "town/t1/image.tif")
    assert names(saved(item("a", **red_blue), item("b", data=image))) == ["a", "b"]
    assert error_of(saved(item("a", **red_blue))) == (
        "a: several assets of this STAC item may be the scene: red, blue; give one after #asset=, "
        "or, if they are its bands, put them together first, "
        "e.g. rio stack -f GTiff red.tif green.tif blue.tif -o scene.tif"
    )
    assert "no asset of this STAC item is a raster (notes)" in error_of(
        saved(item("a", notes="x.txt"))
    )
    named = error_of(saved(item("a", **red_blue)) + "#asset=green")
    assert "has no asset green; it has red, blue" in named


def test_ids_are_fit_for_folders_and_two_alike_are_seen(saved):
    assert names(saved(item("../a/b", data="x.tif"))) == [".._a_b"]


def test_what_is_wrong_with_a_source_is_said_before_anything_runs(catalogue, saved, tmp_path):
    with pytest.raises(DataError, match=r"no collection sea in it, but land, town; give one"):
        names(f"{catalogue}#collection=sea")
    with pytest.raises(DataError, match=r"no collection sea in it, but None; give one"):
        names(saved(item("a", data="x.tif")) + "#collection=sea")
    with pytest.raises(DataError, match=r"no item of the id t9 in it; check"):
        names(f"{catalogue}#item=t9")
    with pytest.raises(DataError, match=r"after the # stand collection, item, asset"):
        names(f"{catalogue}#colection=town")
    (tmp_path / "other.json").write_text('{"images": []}')
    with pytest.raises(DataError, match=r"other.json: cannot be read as STAC"):
        names(tmp_path / "other.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken.json: cannot be read as STAC"):
        names(tmp_path / "broken.json")
    with pytest.raises(DataError, match=r"gone.json: no such file"):
        names(tmp_path / "gone.json")


def test_a_catalogue_that_leads_in_a_circle_is_refused(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        links = [{"rel": "child", "href": f"./{other}.json"}]
        contents = {"type": "Catalog", "stac_version": "1.1.0", "id": name, "description": "-",
                    "links": links}  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(contents))
    with pytest.raises(DataError, match=r"a.json: cannot be read as STAC"):
        names(tmp_path / "a.json")


def test_roots_hold_for_what_items_name_and_for_catalogues(catalogue, saved, tmp_path, monkeypatch):
    outside = saved(item("a", data=str(catalogue.parent / "town/t1/image.tif")))
    monkeypatch.setenv("RURNET_ROOTS", str(tmp_path))
    assert "lies outside of what may be read" in error_of(outside)
    assert "lies outside of what may be read" in error_of(
        saved(item("a", data="https://elsewhere.example/x.tif"))
    )
    for source in (str(catalogue), "https://elsewhere.example/catalog.json"):
        with pytest.raises(DataError, match="lies outside of what may be read"):
            names(source)


@pytest.mark.parametrize(
    "href", ["/vsicurl/https://elsewhere.example/x.tif", "vrt:///etc/x", "HDF5:/etc/x://y"]
)
def test_an_item_may_name_files_and_urls_only(saved, href):
    assert "which is neither a file nor a URL" in error_of(
        saved(item("a", data=href)) + "#asset=data"
    )


def test_secrets_in_an_item_are_not_shown(saved):
    href = "https://elsewhere.example/x.tif?sig=hidden"
    [scene] = road_inputs([saved(item("a", data=(href, "image/tiff", None)))], None)
    assert scene.source == "https://elsewhere.example/x.tif"
    assert scene.image == href


@pytest.fixture
def served(catalogue):
    """The address under which the folder of the catalogue is served."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(catalogue.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_catalogue_is_read_from_a_url_with_relative_paths(served):
    [scene] = road_inputs([f"{served}/catalog.json#collection=land"], None)
    assert scene.name == "l1"
    assert scene.image == f"{served}/land/l1/image.tif"
    assert scene.stac_item.href == f"{served}/land/l1/l1.json"
    with pytest.raises(DataError, match=r"gone.json: cannot be read as STAC \(HTTP Error 404"):
        names(f"{served}/gone.json")


def test_items_of_earlier_versions_and_their_own_addresses_are_understood(tmp_path):
    # As an API of STAC 1.0 gives them: only what is needed here.
    feature = {
        "type": "Feature", "stac_version": "1.0.0", "id": "ma_m_42", "collection": "naip",
        "geometry": SQUARE, "bbox": [0, 0, 1, 1],
        "properties": {
            "datetime": None, "start_datetime": "2021-08-01T00:00:00Z",
            "end_datetime": "2021-08-02T00:00:00Z", "proj:epsg": 26919,
        },
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
        "links": [{"rel": "self", "href": "https://api.example/items/ma_m_42"}],
        "assets": {"image": {"href": "./files/m.tif", "roles": ["data"]}},
    }  # fmt: skip
    found = tmp_path / "found.json"
    found.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    [scene] = road_inputs([str(found)], None)
    assert scene.source == "https://api.example/items/files/m.tif"
    assert scene.stac_item.taken == "2021-08-01T00:00:00+00:00"
    assert scene.stac_item.href == "https://api.example/items/ma_m_42"
