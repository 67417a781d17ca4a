"""Scenes in S3, and results that are uploaded there; against a server on this machine."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli.upload import upload as command
from flows.operations.tool import run_tool
from pipelines.catalogue.upload import upload
from pipelines.catalogue.write import catalogue
from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import DataError, PipelineError
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import road_inputs
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL
from tests.pipelines.inputs.s3.conftest import SECRET


@pytest.fixture(scope="module")
def stored(bucket, tmp_path_factory, write_raster):
    """Two scenes, a text and a folder under `in/`; a local copy of one of the scenes."""
    folder = tmp_path_factory.mktemp("local")
    write_road_scene(folder / "town.tif", None, 96, 1)
    write_raster(folder / "field.tif", np.full((3, 40, 50), 90, np.uint8))
    for name in ("town", "field"):
        bucket.upload_file(str(folder / f"{name}.tif"), "ours", f"in/{name}.tif")
    bucket.upload_file(str(folder / "field.tif"), "ours", "in/deep/other.tif")
    bucket.put_object(Bucket="ours", Key="in/readme.txt", Body=b"hello")
    return folder


@pytest.fixture(scope="module")
def run(bucket, stored, tmp_path_factory):
    """A run over a scene in the bucket."""
    output = tmp_path_factory.mktemp("run") / "out"
    config = InferRoads(scenes=["s3://ours/in/town.tif"], output=output, **ROADS_SMALL)
    assert not infer_roads(config, Silence()).failed
    return output


def sources(*names):
    return [one.source for one in road_inputs(list(names), None)]


def keys(bucket, prefix):
    listed = bucket.list_objects_v2(Bucket="ours", Prefix=prefix).get("Contents", [])
    return sorted(one["Key"].removeprefix(prefix) for one in listed)


def test_a_prefix_is_a_folder_of_scenes(stored):
    assert sources("s3://ours/in/") == ["s3://ours/in/field.tif", "s3://ours/in/town.tif"]
    assert sources("/vsis3/ours/in/") == ["/vsis3/ours/in/field.tif", "/vsis3/ours/in/town.tif"]
    assert sources("s3://ours/in/t*.tif") == ["s3://ours/in/town.tif"]
    names = [one.name for one in road_inputs(["s3://ours/in/", "s3://ours/in/deep/"], None)]
    assert names == ["field", "town", "other"]


def test_a_scene_in_a_bucket_gives_the_pixels_of_the_local_one(stored, run, tmp_path):
    config = InferRoads(scenes=[str(stored / "town.tif")], output=tmp_path, **ROADS_SMALL)
    assert not infer_roads(config, Silence()).failed
    for name in ("probability.tif", "mask.tif"):
        assert (run / "town" / name).read_bytes() == (tmp_path / "town" / name).read_bytes()


def test_a_prefix_without_scenes_and_a_bucket_that_is_not_there_are_refused(stored):
    with pytest.raises(DataError, match=r"s3://ours/nothing/: no images in it"):
        sources("s3://ours/nothing/")
    with pytest.raises(DataError, match=r"s3://theirs/in/: .*NoSuchBucket.*check the bucket"):
        sources("s3://theirs/in/")
    with pytest.raises(DataError, match=r"patterns of folders are not looked for"):
        sources("s3://ours/*/a.tif")


def test_an_object_that_is_not_there_is_an_error_of_its_scene(stored, tmp_path):
    config = InferRoads(scenes=["s3://ours/in/gone.tif"], output=tmp_path, **ROADS_SMALL)
    [failed] = infer_roads(config, Silence()).failed
    assert "s3://ours/in/gone.tif" in failed.error


def test_roots_hold_for_prefixes(stored, monkeypatch):
    monkeypatch.setenv("RURNET_ROOTS", "/nowhere:s3://ours/in/")
    assert len(sources("s3://ours/in/")) == 2
    with pytest.raises(DataError, match="lies outside of what may be read"):
        sources("s3://ours/out/")


def test_a_finished_run_is_uploaded_whole_and_its_report_last(bucket, run):
    said = []
    done = upload(run, "s3://ours/out/", said.append)
    assert done.sent == said
    assert said[-1] == "s3://ours/out/report.json"
    assert keys(bucket, "out/") == sorted(
        path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()
    )
    body = bucket.get_object(Bucket="ours", Key="out/town/mask.tif")
    assert body["Body"].read() == (run / "town/mask.tif").read_bytes()
    assert body["ContentType"].startswith("image/tiff")
    page = bucket.head_object(Bucket="ours", Key="out/report.html")
    assert page["ContentType"] == "text/html"


def test_an_upload_that_was_interrupted_goes_on_with_what_is_missing(bucket, run):
    def stop(name):
        if name.endswith("mask.tif"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(run, "s3://ours/again", stop)
    assert "report.json" not in keys(bucket, "again/")
    done = upload(run, "s3://ours/again")
    assert "s3://ours/again/town/mask.tif" in done.kept
    assert keys(bucket, "again/") == keys(bucket, "out/")
    assert not upload(run, "s3://ours/again").sent


def test_what_changed_is_uploaded_again_and_nothing_unfinished_is(bucket, run, tmp_path):
    upload(run, "s3://ours/more")
    (run / "town" / ".parts").mkdir()
    (run / "town" / ".parts" / "0.npz").write_bytes(b"part")
    catalogue_of_it = catalogue(run)
    done = upload(run, "s3://ours/more")
    assert [Path(one).name for one in done.sent] == ["item.json", "model.json", "collection.json"]
    body = bucket.get_object(Bucket="ours", Key="more/collection.json")["Body"].read()
    assert body == catalogue_of_it.read_bytes()


def test_a_catalogue_that_was_uploaded_is_read_from_there(bucket, run):
    catalogue(run)
    upload(run, "s3://ours/stac")
    [item] = road_inputs(["s3://ours/stac/collection.json#asset=mask"], None)
    assert (item.name, item.source) == ("town", "s3://ours/stac/town/mask.tif")
    with pytest.raises(DataError, match=r"gone.json: .*NoSuchKey"):
        sources("s3://ours/stac/gone.json")


def test_the_command_says_what_it_did_and_where_it_could_not(run, capsys, bucket):
    with pytest.raises(SystemExit) as ended:
        run_tool(command, "rurnet upload", [str(run), "s3://ours/said"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("files uploaded, 0 were there")
    with pytest.raises(SystemExit) as ended:
        run_tool(command, "rurnet upload", [str(run), "s3://theirs/said"])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: s3://theirs/said/town/")
    assert SECRET not in error
    with pytest.raises(DataError, match=r"is no place in S3"):
        upload(run, "https://ours.example/out")


def test_credentials_are_in_no_file_of_a_run(run):
    for path in run.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    report = json.loads((run / "report.json").read_text())
    assert report["scenes"][0]["input"] == "s3://ours/in/town.tif"


@pytest.mark.parametrize("output", ["s3://ours/out", "/vsis3/ours/out"])
def test_results_are_written_to_a_local_folder_first(stored, output):
    config = InferRoads(scenes=[str(stored / "town.tif")], output=Path(output), **ROADS_SMALL)
    with pytest.raises(PipelineError, match=r"then rurnet upload it to s3://"):
        infer_roads(config, Silence())
    assert not Path("s3:").exists()
