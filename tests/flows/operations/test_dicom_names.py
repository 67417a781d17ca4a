"""`rurnet dicom-names`: which DICOM file has which name in results."""

import hashlib

import pytest

from flows.operations.dicom_names import dicom_names
from pipelines.errors import DataError
from tests.tiling.dicom.photographs import TOMOGRAPHY, colours, dataset, write


def test_every_file_of_a_folder_is_listed_with_its_name(tmp_path, capsys):
    write(tmp_path / "MUSTERFRAU.dcm", dataset(colours()))
    write(tmp_path / "IM1", dataset(colours(), uid="1.2.3.5", sop_class=TOMOGRAPHY))
    (tmp_path / "notes.txt").write_text("none")
    dicom_names(tmp_path)
    digests = [hashlib.sha256(uid.encode()).hexdigest()[:12] for uid in ("1.2.3.5", "1.2.3.4")]
    assert capsys.readouterr().out.splitlines() == [
        "file,name",
        f"{tmp_path / 'IM1'},dicom-{digests[0]}",
        f"{tmp_path / 'MUSTERFRAU.dcm'},dicom-{digests[1]}",
    ]


def test_what_is_no_dicom_file_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("none")
    with pytest.raises(DataError, match=r"a\.txt: no DICOM file; check the path"):
        dicom_names(tmp_path / "a.txt")
