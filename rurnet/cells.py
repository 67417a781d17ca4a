"""Recurrent cells with convolutions as gates: ConvGRU and ConvLSTM.

A gate has one convolution over [x, h], which equals the sum of a convolution over x and one over
h. Pixels beyond the border count as zero.
"""

import torch
from torch import Tensor, nn

from rurnet.errors import NetworkError


class ConvGRU(nn.Module):
    """Convolutional gated recurrent unit (Ballas et al., ICLR 2016).

    Here * is a convolution, . the product of elements and [ , ] concatenation:

        z  = sigmoid(W_z * [x, h] + b_z)
        r  = sigmoid(W_r * [x, h] + b_r)
        h^ = tanh(W_h * [x, r . h] + b_h)
        h' = z . h + (1 - z) . h^

    The reset gate acts on h before the convolution (in `torch.nn.GRU`, after it). An update gate
    of one keeps h, as in equation 4 of the recurrent U-Net and in `torch.nn.GRU`. In papers that
    swap z and 1 - z, W_z and b_z have the opposite sign.

    Args:
        inputs: Channels of x.
        hidden: Channels of h.
        kernel: Height and width of all convolutions, an odd number.

    Raises:
        NetworkError: `hidden` is less than 1.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        if hidden < 1:
            raise NetworkError(f"a ConvGRU needs 1 or more hidden channels, not {hidden}")
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, kernel, padding=kernel // 2)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """Returns the next h, from x [B, inputs, h, w] and h [B, hidden, h, w]."""
        z, r = torch.sigmoid(self.gates(torch.cat([x, h], dim=1))).chunk(2, dim=1)
        candidate = torch.tanh(self.candidate(torch.cat([x, r * h], dim=1)))
        return z * h + (1 - z) * candidate


class ConvLSTM(nn.Module):
    """Convolutional long short-term memory (Shi et al., NeurIPS 2015), without peepholes.

    With the notation of `ConvGRU`:

        i  = sigmoid(W_i * [x, h] + b_i)
        f  = sigmoid(W_f * [x, h] + b_f)
        g  = tanh(W_g * [x, h] + b_g)
        o  = sigmoid(W_o * [x, h] + b_o)
        c' = f . c + i . g
        h' = o . tanh(c')

    There are no peepholes: they need a weight per pixel, so the cell would take one image size
    only. The variable-budget paper (McIntosh et al., 2018) has 1x1 kernels. b_f starts at one
    (Jozefowicz et al., ICML 2015), so that an untrained cell keeps most of c.

    Args:
        inputs: Channels of x.
        hidden: Channels of h and of c.
        kernel: Height and width of the convolution, an odd number.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)
        nn.init.ones_(self.gates.get_parameter("bias")[hidden : 2 * hidden])

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Returns the next (h, c), from x [B, inputs, h, w] and (h, c), each [B, hidden, h, w]."""
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
