"""Runs over DICOM files: what comes in, and that nothing says whose eye it is."""

# ruff: noqa: E402

import csv
import hashlib
import json
import logging
import shutil
import subprocess
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from skimage.measure import block_reduce

pydicom = pytest.importorskip("pydicom", reason="needs rurnet[dicom]")
hd = pytest.importorskip("highdicom", reason="needs rurnet[dicom]")

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import RLELossless

from pipelines.config.inference import InferDrive
from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import DataError
from pipelines.inference.run import infer_drive
from pipelines.inputs.discovery import fundus_inputs
from pipelines.report.paper import figures_of
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import FUNDUS_SMALL, Run
from tests.tiling.dicom.photographs import (
    IDENTITIES,
    TOMOGRAPHY,
    colours,
    dataset,
    write,
)


def called(uid):
    return f"dicom-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"


RIGHT, LEFT = called("1.2.3.4"), called("1.2.3.5")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A run over a folder as a camera's medium has it, and the folder."""
    folder = tmp_path_factory.mktemp("clinic") / "in"
    image, _, _ = draw_fundus()
    fundus = block_reduce(image, (1, 2, 2), np.mean).astype(np.uint8).transpose(1, 2, 0)
    one = dataset(fundus, ImageLaterality="R", PixelSpacing=[0.013, 0.013])
    write(folder / "MUSTERFRAU_ERIKA_19500102_OD.dcm", one)
    other = dataset(fundus[:, ::-1].copy(), uid="1.2.3.5", BurnedInAnnotation="YES")
    write(folder / "1.2.3.5", other, RLELossless)
    write(folder / "MUSTERFRAU_ERIKA_OCT", dataset(colours(), uid="1.2.3.6", sop_class=TOMOGRAPHY))
    broken = write(folder / "MUSTERFRAU_BROKEN.dcm", dataset(colours(), uid="1.2.3.7"))
    broken.write_bytes(broken.read_bytes()[:900])
    (folder / "README").write_text("no image")
    config = InferDrive(scenes=[str(folder)], output=folder.parent / "out", **FUNDUS_SMALL)
    with everything_logged(folder.parent / "out" / "everything.log"):
        return Run(infer_drive(config, Silence())), folder


def accepted(folder):
    """Has the validator look at the DICOM files of a scene."""
    for name in ("mask.dcm", "measurements.dcm"):
        file = folder / name
        said = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr, said.stderr


@contextmanager
def everything_logged(path):
    """Writes the records of all loggers to a file."""
    path.parent.mkdir()
    root, handler = logging.getLogger(), logging.FileHandler(path)
    level = root.level
    root.addHandler(handler)
    root.setLevel("DEBUG")
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def test_a_folder_of_photographs_is_predicted_with_or_without_extensions(clinic):
    run, _ = clinic
    assert [one["name"] for one in run.report["scenes"]] == [LEFT, RIGHT]
    assert run.read(RIGHT, "mask.tif").shape == (292, 283)
    assert (run.read(RIGHT, "mask.tif") == 1).any()
    np.testing.assert_array_equal(
        run.read(LEFT, "mask.tif") != 255, run.read(RIGHT, "mask.tif")[:, ::-1] != 255
    )


def test_a_damaged_file_ends_its_scene_only(clinic):
    run, _ = clinic
    [failed] = run.report["failed"]
    assert failed["input"] == called("1.2.3.7")
    assert "damaged or cut off" in failed["error"]


def test_laterality_and_scale_are_in_the_report(clinic):
    run, _ = clinic
    left, right = run.report["scenes"]
    assert (left["laterality"], right["laterality"]) == ("L", "R")
    assert left["micrometres"] is None
    assert right["micrometres"] == pytest.approx(13)
    numbers = right["measurements"]
    assert numbers["calibre_um"] == pytest.approx(13 * numbers["calibre_px"])
    assert numbers["length_mm"] == pytest.approx(0.013 * numbers["length_px"])
    assert numbers["diameter_mm"] == pytest.approx(0.013 * numbers["diameter_px"])
    assert "calibre_um" not in left["measurements"]


def test_the_tables_have_columns_for_them(clinic):
    run, _ = clinic
    with (run.folder / "measurements.csv").open(newline="") as file:
        left, right = csv.DictReader(file)
    assert (left["laterality"], right["laterality"]) == ("L", "R")
    assert left["calibre_um"] == ""
    assert float(right["calibre_um"]) == pytest.approx(13 * float(right["calibre_px"]), rel=1e-4)
    with (run.folder / "segments.csv").open(newline="") as file:
        rows = [line for line in csv.DictReader(file) if line["scene"] == RIGHT]
    assert float(rows[0]["length_um"]) == pytest.approx(13 * float(rows[0]["length"]), rel=1e-4)


def test_text_in_the_picture_is_remarked(clinic):
    run, _ = clinic
    left, right = run.report["scenes"]
    assert any("text in the picture" in remark for remark in left["remarks"])
    assert not any("text in the picture" in remark for remark in right["remarks"])


def test_no_result_and_no_log_says_whose_eye_it_is(clinic):
    run, _ = clinic
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert len(files) > 12
    assert "passed over" in (run.folder / "everything.log").read_text()
    for path in files:
        # These belong to the person's record, and say whose they are.
        contents = b"" if path.suffix == ".dcm" else path.read_bytes()
        told = [one for one in IDENTITIES if one in path.name or one.encode() in contents]
        assert not told, path


def test_a_file_that_is_named_is_not_shown_by_its_name(tmp_path):
    path = write(tmp_path / "MUSTERFRAU.dcm", dataset(colours(64, 64)))
    config = InferDrive(
        scenes=[str(path)], output=tmp_path / "out", field="whole", micrometres_per_pixel=9,
        **FUNDUS_SMALL,
    )  # fmt: skip
    report = Run(infer_drive(config, Silence())).report
    assert report["settings"]["scenes"] == [RIGHT]
    assert report["scenes"][0]["micrometres"] == 9
    assert "MUSTERFRAU" not in json.dumps(report)


@pytest.fixture(scope="module")
def two_frames(clinic, tmp_path_factory):
    """A run over a file of two frames, and the frames' names."""
    folder = tmp_path_factory.mktemp("frames")
    source = pydicom.dcmread(clinic[1] / "MUSTERFRAU_ERIKA_19500102_OD.dcm").pixel_array
    frames = np.stack([source, source[:, ::-1]])
    write(folder / "eye.dcm", dataset(frames, PixelSpacing=[0.013, 0.013]))
    config = InferDrive(
        scenes=[str(folder / "eye.dcm")], output=folder / "out", **FUNDUS_SMALL
    )  # fmt: skip
    return Run(infer_drive(config, Silence())), [f"{RIGHT}_1", f"{RIGHT}_2"]


def test_each_frame_is_an_image(two_frames):
    run, names = two_frames
    assert [one["name"] for one in run.report["scenes"]] == names


def test_the_results_of_a_frame_refer_to_it(two_frames):
    run, names = two_frames
    uids = set()
    for number, name in enumerate(names, start=1):
        found = hd.seg.segread(run.folder / name / "mask.dcm")
        uids.add(found.SOPInstanceUID)
        pixels = found.get_pixels_by_source_frame("1.2.3.4", [number], combine_segments=True)
        mask = run.read(name, "mask.tif")
        np.testing.assert_array_equal(pixels[0], np.where(mask == 255, 0, mask))
        written = hd.sr.srread(run.folder / name / "measurements.dcm")
        [group] = written.content.get_planar_roi_measurement_groups()
        _, image = (one for one in group[0].ContentSequence if one.ValueType == "IMAGE")
        assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == number
    assert len(uids) == 2


def test_the_index_of_a_medium_is_followed(tmp_path):
    write(tmp_path / "EYES" / "IM1", dataset(colours(64, 64)))
    index = dataset(colours(), sop_class="1.2.840.10008.1.3.10", uid="1.2.9")
    image, report = Dataset(), Dataset()
    image.ReferencedFileID = ["EYES", "IM1"]
    index.DirectoryRecordSequence = [report, image]
    write(tmp_path / "DICOMDIR", index)
    [item] = fundus_inputs([str(tmp_path / "DICOMDIR")], None)
    assert item.name == RIGHT


def test_unequal_pixels_are_measured_in_pixels_only(tmp_path):
    path = write(tmp_path / "eye.dcm", dataset(colours(64, 64), PixelSpacing=[0.01, 0.02]))
    config = InferDrive(
        scenes=[str(path)], output=tmp_path / "out", field="whole", measurements=False,
        **FUNDUS_SMALL,
    )  # fmt: skip
    [scene] = Run(infer_drive(config, Silence())).report["scenes"]
    assert scene["micrometres"] is None
    assert any("10 by 20 micrometres" in remark for remark in scene["remarks"])


def test_figures_find_the_photographs_and_do_not_name_them(two_frames, tmp_path):
    run, names = two_frames
    with pytest.raises(DataError, match=f"{names[0]}: this is a DICOM photograph.*--photographs"):
        figures_of(run.folder, output=tmp_path)
    figures_of(run.folder, output=tmp_path, photographs=[str(run.folder.parent)])
    text = (tmp_path / "panel.svg").read_text()
    assert all(f"{name}</text>" in text for name in names)
    assert ">image</text>" in text
    assert not any(one in text for one in IDENTITIES)


def test_figures_look_for_photographs_in_the_folder_that_the_run_was_given(clinic, tmp_path):
    run, _ = clinic
    figures_of(run.folder, [RIGHT], tmp_path)
    assert ">image</text>" in (tmp_path / "panel.svg").read_text()


def test_the_segmentation_is_the_mask_and_names_its_photograph(clinic):
    run, folder = clinic
    found = hd.seg.segread(run.folder / RIGHT / "mask.dcm")
    pixels = found.get_pixels_by_source_instance(["1.2.3.4"], combine_segments=True)
    mask = run.read(RIGHT, "mask.tif")
    np.testing.assert_array_equal(pixels[0], np.where(mask == 255, 0, mask))
    source = pydicom.dcmread(folder / "MUSTERFRAU_ERIKA_19500102_OD.dcm")
    [series] = found.ReferencedSeriesSequence
    [image] = series.ReferencedInstanceSequence
    assert image.ReferencedSOPClassUID == source.SOPClassUID
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert found.StudyInstanceUID == source.StudyInstanceUID
    assert found.PatientID == source.PatientID


def test_the_segment_says_what_it_is_and_what_made_it(clinic):
    run, _ = clinic
    segment = hd.seg.segread(run.folder / RIGHT / "mask.dcm").get_segment_description(1)
    assert segment.segmented_property_type == codes.SCT.BloodVessel
    assert segment.anatomic_regions == [codes.SCT.Retina]
    algorithm = segment.algorithm_identification
    assert algorithm.name == "RurNet vessels-dru4-wide"
    assert algorithm.version == run.report["version"]
    assert algorithm.parameters["weights_sha256"] == run.report["model"]["weights_sha256"]
    assert algorithm.parameters["threshold"] == "0.5"


def test_the_report_has_the_measurements_and_is_no_diagnosis(clinic):
    run, _ = clinic
    written = hd.sr.srread(run.folder / RIGHT / "measurements.dcm")
    assert written.VerificationFlag == "UNVERIFIED"
    texts = [one.TextValue for one in written.ContentSequence if one.ValueType == "TEXT"]
    assert texts[-1].startswith("Not a diagnosis")
    [group] = written.content.get_planar_roi_measurement_groups()
    [site] = group.finding_sites
    assert site.laterality == codes.SCT.Right
    told = {one.name.value: (one.value, one.unit.value) for one in group.get_measurements()}
    numbers = run.report["scenes"][1]["measurements"]
    assert told.pop("126050") == (pytest.approx(numbers["fractal_dimension"]), "1")
    assert told["calibre_um"] == (pytest.approx(numbers["calibre_um"]), "um")
    assert {name: value for name, (value, _) in told.items()} == pytest.approx(
        # What the mask is likely to be worth is nothing that was measured of the eye.
        {n: numbers[n] for n in numbers if n not in ("fractal_dimension", "expected_f1")}
    )
    segmentation = pydicom.dcmread(run.folder / RIGHT / "mask.dcm")
    referenced = [
        one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for one in group[0].ContentSequence
        if one.ValueType == "IMAGE"
    ]
    assert referenced == [segmentation.SOPInstanceUID, "1.2.3.4"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (dicom3tools)")
def test_a_validator_finds_no_error(clinic, two_frames):
    for run, scenes in ((clinic[0], (LEFT, RIGHT)), two_frames):
        for scene in scenes:
            accepted(run.folder / scene)


def test_a_rerun_leaves_them_as_they_are_and_a_lost_one_comes_again(clinic):
    run, folder = clinic
    mask, report = (run.folder / LEFT / name for name in ("mask.dcm", "measurements.dcm"))
    before = mask.read_bytes(), pydicom.dcmread(report).SOPInstanceUID
    time = mask.stat().st_mtime_ns
    infer_drive(InferDrive(**run.report["settings"] | {"scenes": [str(folder)]}), Silence())
    assert mask.stat().st_mtime_ns == time
    report.unlink()
    infer_drive(InferDrive(**run.report["settings"] | {"scenes": [str(folder)]}), Silence())
    assert pydicom.dcmread(report).SOPInstanceUID == before[1]
    assert not list(mask.parent.glob(".*.dcm*"))


def test_without_a_study_there_is_a_remark_and_the_rasters(tmp_path):
    data = dataset(colours(64, 64))
    del data.StudyInstanceUID
    write(tmp_path / "eye.dcm", data)
    config = InferDrive(
        scenes=[str(tmp_path / "eye.dcm")], output=tmp_path / "out", field="whole",
        measurements=False, **FUNDUS_SMALL,
    )  # fmt: skip
    [scene] = Run(infer_drive(config, Silence())).report["scenes"]
    assert set(scene["files"]) == {"probability", "mask", "png"}
    assert any("no Study or Series Instance UID" in remark for remark in scene["remarks"])


def test_what_dicom_does_not_allow_is_emptied_and_nobody_quotes_it(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = dataset(
            colours(64, 64), PatientBirthDate="1950 MUSTERFRAU", PatientSex="W", StudyTime="ACC-12",
            InstanceNumber=-1, SpecificCharacterSet="UTF-8", PixelSpacing=[0.01],
        )  # fmt: skip
        write(folder / "eye.dcm", odd)
    config = InferDrive(scenes=[str(folder)], output=output, field="whole", **FUNDUS_SMALL)
    with everything_logged(output / "everything.log"):
        run = Run(infer_drive(config, Silence()))
    [scene] = run.report["scenes"]
    assert any("PatientBirthDate, PatientSex, StudyTime" in remark for remark in scene["remarks"])
    found = hd.seg.segread(output / RIGHT / "mask.dcm")
    written = hd.sr.srread(output / RIGHT / "measurements.dcm")
    for one in (found, written):
        assert (one.PatientBirthDate, one.PatientSex, one.StudyTime) == ("", "", "")
        assert (one.PatientName, one.InstanceNumber) == ("MUSTERFRAU^ERIKA", 1)
    assert (output / "everything.log").read_text().count(RIGHT) > 1
    assert not any(one in (output / "everything.log").read_text() for one in IDENTITIES)
