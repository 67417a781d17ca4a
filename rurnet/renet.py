"""The ReNet layer: recurrent networks that sweep an image (Visin et al., 2015)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ReNet(nn.Module):
    """Sweeps down and up every column, then right and left along every row.

    Section 3.1 and equations 1 and 2 of ReSeg (Visin et al., CVPR Workshops 2016): the image is
    split into patches that do not overlap; a GRU in each direction reads a column's patches, and a
    GRU in each direction reads the rows of what the two made. Columns do not know of each other in
    the first sweep, rows not in the second; after both every position has seen the whole image.

    As in the paper, recurrent weights start orthonormal, those of each gate for themselves. A GRU
    here is torch's, which applies the reset gate after the recurrent weights.

    Args:
        inputs: Channels that come in.
        units: Of each of the four GRUs.
        patch: Height and width of a patch: all its patch * patch * inputs values are read at once.
    """

    def __init__(self, inputs: int, units: int = 100, patch: int = 2) -> None:
        super().__init__()
        self.patch = patch
        self.vertical = nn.GRU(inputs * patch * patch, units, bidirectional=True)
        self.horizontal = nn.GRU(2 * units, units, bidirectional=True)
        for name, weight in self.named_parameters():
            if "weight_hh" in name:
                for gate in weight.detach().chunk(3):
                    nn.init.orthogonal_(gate)

    def forward(self, features: Tensor) -> Tensor:
        """[B, inputs, h, w] to [B, 2 * units, h / patch, w / patch]; h and w divide by `patch`."""
        patches = functional.pixel_unshuffle(features, self.patch)
        down = _sweep(self.vertical, patches.permute(2, 0, 3, 1))
        across = _sweep(self.horizontal, down.permute(2, 1, 0, 3))
        return across.permute(1, 3, 2, 0)


def _sweep(gru: nn.GRU, sequences: Tensor) -> Tensor:
    """[length, B, n, inputs] to [length, B, n, 2 * units]: B * n sequences, each for itself."""
    batch, count = sequences.shape[1:3]
    swept: Tensor = gru(sequences.flatten(1, 2))[0]
    return torch.unflatten(swept, 1, (batch, count))
