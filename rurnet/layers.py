"""Layers of networks with a pretrained encoder: normalised convolution and resizing."""

from torch import Tensor, nn
from torch.nn import functional


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Convolution with "same" padding, batch norm and ReLU.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: Height and width of the kernel, an odd number.
        stride: [h, w] becomes [h / stride, w / stride], rounded up.
        dilation: Distance between neighbouring weights of the kernel, in pixels.
    """
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def resized(features: Tensor, like: Tensor) -> Tensor:
    """Resizes [B, C, h, w] bilinearly to the height and width of `like`."""
    return functional.interpolate(
        features, size=like.shape[-2:], mode="bilinear", align_corners=False
    )
