"""The two configurations of a MONAI bundle: how it predicts a folder, and what it is."""

import json
from typing import Any

from pipelines.config.inference import PredictionSettings
from pipelines.models.weights import Model

IMAGES = (".bmp", ".gif", ".jpg", ".jpeg", ".png", ".ppm", ".tif", ".tiff")
"""Files in a folder that are taken for images."""

_SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"


def inference_config(mode: str, classes: int) -> dict[str, Any]:
    """Returns `inference.json`: MONAI's transforms around our tiles, blend weights and masks.

    Values without a `$` can be given on the command line of `monai.bundle run`. Tiles lie where
    `tiling.grid` puts them, their weights are those of `tiling.blend.ramp`, and the classes are
    those of `tiling.masks.mask.class_mask`.

    Args:
        mode: What Pillow calls an image of the network's bands.
        classes: Number of classes, background included.
    """
    # A mask of one class can be looked at: black and white.
    classes_of = "255" if classes == 2 else "levels.argmax(0) + 1"
    defaults = {name: each.default for name, each in PredictionSettings.model_fields.items()}
    return {
        "imports": [
            "$import math",
            "$import pathlib",
            "$import monai",
            "$import torch",
            "$from torch.export.passes import move_to_device_pass",
        ],
        "bundle_root": ".",
        "dataset_dir": "images",
        "output_dir": "masks",
        "device": "cpu",
        "tile": defaults["tile"],
        "overlap": defaults["overlap"],
        "batch": defaults["batch"],
        "threshold": defaults["threshold"],
        "datalist": "$sorted(str(path) for path in pathlib.Path(@dataset_dir).iterdir() "
        f"if path.suffix.lower() in {IMAGES})",
        "network_def": "$move_to_device_pass("
        "torch.export.load(str(pathlib.Path(@bundle_root, 'models', 'model.pt2'))), @device"
        ").module()",
        # MONAI reads and writes [width, height] unless it is told otherwise.
        "preprocessing": {
            "_target_": "LoadImage",
            "reader": "PILReader",
            "reverse_indexing": False,
            # Pillow would cut 16 bits off at 255, and floats at 1.
            "converter": f"$lambda image: image.convert('{mode}') if image.mode[0] not in 'IF' "
            "else (_ for _ in ()).throw(ValueError(str(image.filename) + ': has more than 8 bits "
            "per band; save it as 8 bits, with black as 0 and white as 255'))",
            "ensure_channel_first": True,
            "image_only": True,
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "rise": "$max(1, @overlap)",
        "ramp": "$lambda side: -(-torch.minimum(torch.arange(1, side + 1), "
        "torch.arange(side, 0, -1)).clamp(max=@rise) * min(@rise, 64) // @rise)",
        # An image smaller than a tile is reflected below and to the right.
        "reflected": "$lambda side: (lambda at: torch.minimum(at, 2 * side - 1 - at))"
        "(torch.arange(max(@tile, side)) % (2 * side))",
        "filled": "$lambda image: "
        "image[:, :, @reflected(image.shape[2])][..., @reflected(image.shape[3])]",
        # The half keeps rounding from moving tiles: MONAI takes an overlap as a share of the tile.
        "inferer": "$torch.no_grad()(lambda image, network: "
        "monai.inferers.sliding_window_inference(@filled(image), [@tile, @tile], @batch, network, "
        "overlap=max(0, @overlap - 0.5) / @tile, "
        "roi_weight_map=torch.outer(@ramp(@tile), @ramp(@tile)).float()"
        ")[..., : image.shape[2], : image.shape[3]])",
        "level": "$max(1, math.ceil(@threshold * 254 - 1e-9))",
        "levels": "$lambda probability: (probability * 254 + 0.5).floor()",
        "foreground": "$lambda levels: levels.amax(0) * (254 - @level) >= "
        "(254 - levels.sum(0)).clamp(min=0) * @level",
        "postprocessing": "$lambda levels: (@foreground(levels) * "
        f"({classes_of})).to(torch.uint8)[None]",
        "saver": "$monai.transforms.SaveImage(@output_dir, 'mask', '.png', 'uint8', "
        "separate_folder=False, print_log=False"
        ").set_options(write_kwargs={'reverse_indexing': False})",
        "run": [
            "$[@saver(@postprocessing(@levels("
            "@inferer(image.as_tensor()[None].to(@device), @network_def)[0].cpu())), image.meta) "
            "for image in @dataset]"
        ],
    }


def metadata_config(
    model: Model, exported: dict[str, str], versions: dict[str, str]
) -> dict[str, Any]:
    """Returns `metadata.json`, as MONAI's schema wants it, with the card of the weights.

    Args:
        model: What is exported.
        exported: Its metadata, see `pipelines.export`.
        versions: Versions of monai, pytorch, numpy and pillow.
    """
    card = model.card
    foreground = card.classes[1:]
    sizes: dict[str, Any] = {"spatial_shape": ["*", "*"], "dtype": "float32"}
    return {
        "schema": _SCHEMA,
        "version": card.version or "0",
        "changelog": {card.version or "0": f"exported from {model.name}, digest {model.digest}"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["pytorch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {"pillow": versions["pillow"]},
        "name": model.name,
        "task": f"Segmentation of {', '.join(foreground)}",
        "description": f"{card.network}, {exported['steps']} steps. Takes images of 8 bits per "
        "band at the resolution of the training images; the normalisation is in the network.",
        "authors": "Whoever trained the weights; exported by rurnet",
        "copyright": "That of the weights",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": len(card.mean),
                    **sizes,
                    "value_range": [0, 255],
                    "is_patch_data": True,
                    "channel_def": {str(i): f"band {i + 1}" for i in range(len(card.mean))},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "segmentation",
                    "num_channels": len(foreground),
                    **sizes,
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {str(i): name for i, name in enumerate(foreground)},
                }
            },
        },
        "rurnet": json.loads(exported["rurnet"]),
        "steps": int(exported["steps"]),
        "digest": exported["digest"],
    }
