"""What networks on a pretrained encoder share: a normalised convolution, and bringing to a size."""

from torch import Tensor, nn
from torch.nn import functional


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A convolution that keeps the size (but for its stride), batch norm and ReLU.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel: Odd, so that there is a middle.
        stride: [h, w] becomes [h / stride, w / stride], rounded up.
        dilation: Pixels from one of the kernel's weights to the next.
    """
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resized(features: Tensor, like: Tensor) -> Tensor:
    """[B, C, h, w] bilinearly at the height and width of `like`, whatever its channels."""
    return functional.interpolate(
        features, size=like.shape[-2:], mode="bilinear", align_corners=False
    )
