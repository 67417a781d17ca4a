"""The photographs among DICOM files: in a folder, in the index of a medium, in a file."""

from collections.abc import Iterable
from pathlib import Path

from tiling.dicom.header import pydicom_named
from tiling.dicom.names import FRAME, INDEX, is_dicom, meta_of, parted
from tiling.errors import SceneError


def photographs_in(folder: Path) -> list[Path]:
    """The DICOM files of a folder that may be photographs, in the order of their names."""
    return sorted(path for path in dicom_files(folder) if _may_be_photograph(path))


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder, without a medium's index and hidden files."""
    return [
        path
        for path in folder.iterdir()
        if path.name.upper() != INDEX and not path.name.startswith(".") and is_dicom(path)
    ]


def photographs_of(index: Path) -> list[Path]:
    """The photographs that a DICOMDIR lists, in its order.

    Raises:
        CodecError: There is no pydicom.
        SceneError: It cannot be read.
    """
    with pydicom_named(str(index)):
        import pydicom

        records = pydicom.dcmread(index).DirectoryRecordSequence
        files = [
            [one.ReferencedFileID] if isinstance(one.ReferencedFileID, str)
            else list(one.ReferencedFileID)
            for one in records
            if "ReferencedFileID" in one
        ]  # fmt: skip
    inside = [index.parent.joinpath(*parts) for parts in files]
    home = index.parent.resolve()
    if any(not path.resolve().is_relative_to(home) for path in inside):
        raise SceneError(f"{index}: lists files outside of its folder; give the files themselves")
    return [path for path in inside if _may_be_photograph(path)]


def frames_of(files: Iterable[str]) -> list[str]:
    """The names with each DICOM file of several frames replaced by those of its frames."""
    return [name for file in files for name in _frames(file)]


def _frames(name: str) -> list[str]:
    file, frame = parted(name)
    if frame is not None or not is_dicom(file):
        return [name]
    try:
        with pydicom_named(file):
            import pydicom

            data = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
            count = int(data.get("NumberOfFrames") or 1)
    except SceneError:
        return [name]  # Whoever opens it says what is wrong.
    return [name] if count <= 1 else [f"{FRAME}:{one}:{name}" for one in range(1, count + 1)]


def _may_be_photograph(path: Path) -> bool:
    """Whether it says so; of a damaged file, which says nothing, whoever opens it will tell."""
    meta = meta_of(path)
    return meta is None or not meta.sop_class or meta.is_photograph
