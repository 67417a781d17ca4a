"""Where files are kept from one run to the next."""

import os
from pathlib import Path


def torch_hub() -> Path:
    """Returns the folder of `torch.hub.get_dir`, found without importing torch."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))  # noqa: PTH118
    return Path(home).expanduser() / "hub"
