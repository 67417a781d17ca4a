"""Recurrent cells whose gates are convolutions: ConvGRU and ConvLSTM.

A gate's weights on x and on h are one convolution over [x, h], which is the sum of the two;
pixels beyond the border count as zero.
"""

import torch
from torch import Tensor, nn

from rurnet.errors import NetworkError


class ConvGRU(nn.Module):
    """Gated recurrent unit of convolutions (Ballas et al., ICLR 2016).

    With * a convolution, . the product of elements and [ , ] concatenation:

        z  = sigmoid(W_z * [x, h] + b_z)
        r  = sigmoid(W_r * [x, h] + b_r)
        h^ = tanh(W_h * [x, r . h] + b_h)
        h' = z . h + (1 - z) . h^

    The reset gate acts on h before it is convolved (`torch.nn.GRU` resets after). An update
    gate of one keeps h, as in equation 4 of the recurrent U-Net and in `torch.nn.GRU`; where
    a paper has z and 1 - z the other way round, W_z and b_z have the other sign.

    Args:
        inputs: Channels of x.
        hidden: Channels of h.
        kernel: Height and width of every convolution, odd.

    Raises:
        NetworkError: h has no channels.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        if hidden < 1:
            raise NetworkError(f"a ConvGRU needs 1 or more hidden channels, not {hidden}")
        self.gates = nn.Conv2d(inputs + hidden, 2 * hidden, kernel, padding=kernel // 2)
        self.candidate = nn.Conv2d(inputs + hidden, hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """From x [B, inputs, h, w] and h [B, hidden, h, w] to the next h."""
        z, r = torch.sigmoid(self.gates(torch.cat([x, h], dim=1))).chunk(2, dim=1)
        candidate = torch.tanh(self.candidate(torch.cat([x, r * h], dim=1)))
        return z * h + (1 - z) * candidate


class ConvLSTM(nn.Module):
    """Long short-term memory of convolutions (Shi et al., NeurIPS 2015), without peepholes.

    With the notation of `ConvGRU`:

        i  = sigmoid(W_i * [x, h] + b_i)
        f  = sigmoid(W_f * [x, h] + b_f)
        g  = tanh(W_g * [x, h] + b_g)
        o  = sigmoid(W_o * [x, h] + b_o)
        c' = f . c + i . g
        h' = o . tanh(c')

    A peephole would let i, f and o see c as well, with a weight per pixel, so for one image
    size only. 1x1 kernels are those of the variable-budget paper (McIntosh et al., 2018). b_f
    starts at one (Jozefowicz et al., ICML 2015): a fresh cell remembers.

    Args:
        inputs: Channels of x.
        hidden: Channels of h and of c.
        kernel: Height and width of every convolution, odd.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.gates = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)
        nn.init.ones_(self.gates.get_parameter("bias")[hidden : 2 * hidden])

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """From x [B, inputs, h, w] and (h, c), each [B, hidden, h, w], to the next (h, c)."""
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
