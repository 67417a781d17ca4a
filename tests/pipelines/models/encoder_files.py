"""Files of an encoder's tensors, good and bad."""

import hashlib
from pathlib import Path

import pytest
import torch

from pipelines.errors import WeightsError
from pipelines.models.encoder_weights import read_encoder_weights
from rurnet.encoders.vgg import VGG16


def tensors():
    """Random ones of a small VGG-16 and of its classifier."""
    torch.manual_seed(4)
    state = {key: torch.randn(value.shape) for key, value in VGG16(width=2).state_dict().items()}
    return state | {"classifier.0.weight": torch.randn(8, 16), "classifier.0.bias": torch.randn(8)}


def saved(path, content=None, **options):
    torch.save(tensors() if content is None else content, path, **options)
    return path


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[key], expected[key]) for key in expected
    )


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def refused(source, *arguments):
    """The message of the refusal: one line that begins with the source."""
    with pytest.raises(WeightsError) as caught:
        read_encoder_weights(str(source), *arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert str(source) in message
    assert "; " in message, "what to do"
    return message


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))
