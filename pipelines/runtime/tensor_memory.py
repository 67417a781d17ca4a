"""How much memory the tensors of a computation hold at once."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call, unused-ignore]
    """Counts the bytes of all tensors that are made and not yet gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.most: int = 0
        self._now = 0
        self._users: dict[int, list[int]] = {}  # Of each storage: tensors that use it, and bytes.

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; to skip it, torch would import its compiler: for seconds."""
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return made

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        users = self._users.setdefault(storage._cdata, [0, storage.nbytes()])
        if not users[0]:
            self._now += users[1]
            self.most = max(self.most, self._now)
        users[0] += 1
        weakref.finalize(tensor, self._gone, storage._cdata)

    def _gone(self, storage: int) -> None:
        users = self._users[storage]
        users[0] -= 1
        if not users[0]:
            self._now -= users[1]
            del self._users[storage]


def most_held(compute: Callable[[], object]) -> int:
    """Runs a computation and returns the most bytes that its tensors held at once.

    What libraries hold besides, to compute faster, is not counted.
    """
    held = _Held()
    with torch.inference_mode(), held:
        compute()
    return held.most
