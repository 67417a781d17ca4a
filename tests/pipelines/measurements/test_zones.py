"""How the places of optic discs are told."""

import pytest

from pipelines.errors import DataError
from pipelines.measurements.zones import Disc, discs_of


def test_the_disc_of_one_image_is_three_numbers():
    assert discs_of("512,480.5,60", ["a"]) == {"a": Disc(512, 480.5, 60)}
    assert discs_of(None, ["a", "b"]) == {}


def test_discs_of_several_images_are_a_table(tmp_path):
    path = tmp_path / "discs.csv"
    path.write_text("\ufeffimage,side,x,y,r\na,left,1,2,3\nb,right,4,5,6.5\n", encoding="utf-8")
    assert discs_of(str(path), ["a", "b", "c"]) == {"a": Disc(1, 2, 3), "b": Disc(4, 5, 6.5)}


@pytest.mark.parametrize(
    "content",
    [
        "Image,X,Y,R\na.png,1.5,2,3\n",
        "\ufeffimage;x;y;r\r\na;1,5;2;3\r\n",
        "image\tx\ty\tr\n\na.JPG\t1,5\t2\t3\n",
    ],
    ids=["names of files", "a spreadsheet with commas in numbers", "tabs"],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, content):
    path = tmp_path / "discs.csv"
    path.write_text(content, encoding="utf-8", newline="")
    assert discs_of(str(path), ["a"]) == {"a": Disc(1.5, 2, 3)}


def test_images_without_a_disc_are_named(tmp_path, caplog):
    path = tmp_path / "discs.csv"
    path.write_text("image,x,y,r\na,1,2,3\nMUSTERFRAU,4,5,6\n")
    discs_of(str(path), ["a", "b", "c"])
    assert f"{path}: has no disc of b, c" in caplog.text
    assert "MUSTERFRAU" not in caplog.text


@pytest.mark.parametrize(
    ("told", "content", "said"),
    [
        ("1,2,3", None, r"--disc 1,2,3: .*2 images; give a CSV file"),
        ("1,2,0", "", "radius is more than 0"),
        ("discs.csv", None, r"discs\.csv: cannot be read .*image, x, y, r"),
        ("discs.csv", "name,x,y,r\na,1,2,3\n", "columns image, x, y, r"),
        ("discs.csv", "image,x,y,r\na,1,two,3\n", r"1,two,3 is no disc; .*512,480,60"),
        ("discs.csv", "image,x,y,r\na,1,2\n", "is no disc"),
        ("discs.csv", "image,x,y,r\nb,1,2,3\n", "none of the 1 images; names .*, such as a$"),
        ("discs.csv", "image,x,y,r\na,1,2,3\na.png,1,2,3\n", "line 3 has an image for the second"),
    ],
)
def test_what_is_no_disc_is_refused(tmp_path, monkeypatch, told, content, said):
    monkeypatch.chdir(tmp_path)
    images = ["a", "b"] if said.startswith("--disc") else ["a"]
    if content and told.endswith("csv"):
        (tmp_path / told).write_text(content)
    with pytest.raises(DataError, match=said):
        discs_of(told, images)
