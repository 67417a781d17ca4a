"""Data sets in the layouts of their protocols, of tiny images."""

from PIL import Image

from pipelines.protocols.published import PROTOCOLS


def blank(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value).save(path)


def drive(folder):
    for name in (*PROTOCOLS["drive"].train, *PROTOCOLS["drive"].test):
        number, split = name.split("_")
        blank(folder / split / "images" / f"{name}.tif")
        blank(folder / split / "mask" / f"{name}_mask.gif")
        blank(folder / split / "1st_manual" / f"{number}_manual1.gif")
        if split == "test":
            blank(folder / split / "2nd_manual" / f"{number}_manual2.gif")
    return folder


def chase(folder):
    for subject in range(1, 15):
        for eye in "LR":
            blank(folder / f"Image_{subject:02d}{eye}.jpg")
            for observer in ("1st", "2nd"):
                blank(folder / f"Image_{subject:02d}{eye}_{observer}HO.png")
    return folder


def hrf(folder):
    for number in range(1, 16):
        for kind in ("dr", "g", "h"):
            name = f"{number:02d}_{kind}"
            blank(folder / "images" / f"{name}.{'jpg' if kind == 'h' else 'JPG'}")
            blank(folder / "manual1" / f"{name}.tif")
            blank(folder / "mask" / f"{name}_mask.tif")
    return folder


def stare(folder):
    for name in PROTOCOLS["stare"].test:
        blank(folder / "stare-images" / f"{name}.ppm")
        blank(folder / "labels-ah" / f"{name}.ah.ppm")
        blank(folder / "labels-vk" / f"{name}.vk.ppm")
    return folder


def massachusetts(folder, counts):
    for split, count in counts.items():
        for number in range(count):
            blank(folder / split / "sat" / f"{split}_{number}.tiff")
            blank(folder / split / "map" / f"{split}_{number}.tif")
    return folder
