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
    ("told", "content", "said"),
    [
        ("1,2,3", None, r"--disc 1,2,3: .*2 images; give a CSV file"),
        ("1,2,0", "", "radius is more than 0"),
        ("discs.csv", None, r"discs\.csv: cannot be read .*image, x, y, r"),
        ("discs.csv", "name,x,y,r\na,1,2,3\n", "columns image, x, y, r"),
        ("discs.csv", "image,x,y,r\na,1,two,3\n", r"1,two,3 is no disc; .*512,480,60"),
        ("discs.csv", "image,x,y,r\na,1,2\n", "is no disc"),
    ],
)
def test_what_is_no_disc_is_refused(tmp_path, monkeypatch, told, content, said):
    monkeypatch.chdir(tmp_path)
    images = ["a", "b"] if said.startswith("--disc") else ["a"]
    if content and told.endswith("csv"):
        (tmp_path / told).write_text(content)
    with pytest.raises(DataError, match=said):
        discs_of(told, images)
