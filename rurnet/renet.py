"""The ReNet layer: recurrent networks that sweep an image (Visin et al., 2015)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ReNet(nn.Module):
    """Sweeps down and up every column, then right and left along every row.

    See section 3.1 and equations 1 and 2 of ReSeg (Visin et al., CVPR Workshops 2016). The image is
    split into patches without overlap. Two GRUs read the patches of each column, one per direction.
    Two more GRUs read the rows of their output. The first sweep treats columns independently, the
    second rows; after both, every position depends on the whole image.

    As in the paper, the recurrent weights of each gate start orthonormal. The GRU is torch's, which
    applies the reset gate after the recurrent weights.

    Args:
        inputs: Input channels.
        units: Units of each of the four GRUs.
        patch: Height and width of a patch. A GRU reads its patch * patch * inputs values at once.
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
        """[B, inputs, h, w] to [B, 2 * units, h / patch, w / patch]; `patch` divides h and w."""
        patches = functional.pixel_unshuffle(features, self.patch)
        down = _sweep(self.vertical, patches.permute(2, 0, 3, 1))
        across = _sweep(self.horizontal, down.permute(2, 1, 0, 3))
        return across.permute(1, 3, 2, 0)


def _sweep(gru: nn.GRU, sequences: Tensor) -> Tensor:
    """[length, B, n, inputs] to [length, B, n, 2 * units], as B * n independent sequences."""
    batch, count = sequences.shape[1:3]
    swept: Tensor = gru(sequences.flatten(1, 2))[0]
    return torch.unflatten(swept, 1, (batch, count))
