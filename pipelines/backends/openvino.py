"""A network whose steps OpenVINO computes, compiled once for each size of tile and kept."""

import copy
import hashlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.backends.choice import Backend
from pipelines.backends.rearranged import rearrange
from pipelines.errors import PipelineError, shortened
from pipelines.models.weights import Model
from rurnet.network import SegmentationNetwork, State
from tiling.disk import appearing
from tiling.errors import SinkError

_LOG = logging.getLogger("rurnet")

_FIRST, _READY = threading.Lock(), threading.Event()
"""Held while OpenVINO is made ready; set once it is."""

_BOUND = {"f32": 1e-4, "bf16": 2e-2}
"""By how much probabilities may differ from torch's, on average over a tile of noise."""


class OpenVinoNetwork(SegmentationNetwork):
    """Takes the steps of a network with OpenVINO; what comes before the first one, with torch.

    Each tile is computed alone, with one thread: batch, place and threads cannot matter. Several
    threads may call it at once.

    Args:
        model: The network; it is not changed.
        backend: What computes.
        lanes: Threads that compute at once.
    """

    def __init__(self, model: Model, backend: Backend, lanes: int) -> None:
        network = model.network
        super().__init__(network.in_channels, network.classes, network.steps)
        self.network = network
        self._model = model
        self._backend = backend
        self._config = _config(backend, lanes)
        self._compiled: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()
        self._own = threading.local()

    def initial_state(self, image: Tensor, mask: Tensor | None = None) -> State:
        """See `SegmentationNetwork`."""
        # As torch's own convolutions take it.
        image = image.contiguous(memory_format=torch.channels_last)
        if len(image) > 1 or mask is not None:
            return self.network.initial_state(image, mask)
        # One alone takes another path through torch's convolutions.
        state = self.network.initial_state(torch.cat([image, image]))
        return State(state.mask[:1], tuple(part[:1] for part in state.hidden))

    def step(self, image: Tensor, state: State) -> tuple[Tensor, State]:
        """See `SegmentationNetwork`.

        Raises:
            PipelineError: OpenVINO cannot compute this network, or gives something else.
        """
        request = self._request((image.shape[2], image.shape[3]))
        together: list[Tensor] = []
        for index in range(len(image)):
            parts = (image, state.mask, *state.hidden)
            found = _run(request, [part[index : index + 1] for part in parts])
            if not together:
                together = [part.new_empty(len(image), *part.shape[1:]) for part in found]
            for every, part in zip(together, found, strict=True):
                every[index : index + 1] = part
        logits, *hidden = together
        return logits, State(logits.softmax(dim=1), tuple(hidden))

    def _request(self, shape: tuple[int, int]) -> Any:
        """What infers tiles of a size; each thread has its own."""
        requests: dict[tuple[int, int], Any] = self._own.__dict__.setdefault("requests", {})
        if shape not in requests:
            with self._lock:
                if shape not in self._compiled:
                    self._compiled[shape] = self._ready(shape)
            requests[shape] = self._compiled[shape].create_infer_request()
        return requests[shape]

    def _ready(self, shape: tuple[int, int]) -> Any:
        """The compiled step for tiles of a size: the kept one, or one that is made now."""
        core = openvino().Core()
        kept = self._kept(shape)
        try:
            return core.import_model(BytesIO(kept.read_bytes()), "CPU", self._config)
        except FileNotFoundError:
            pass
        except (OSError, RuntimeError) as error:
            _LOG.warning("%s: cannot be used (%s); made anew", kept, shortened(error))
        height, width = shape
        _LOG.info(
            "compiling %s for %s and tiles of %d x %d, once",
            self._model.name, self._backend, width, height,
        )  # fmt: skip
        # Tensors of inference mode cannot be traced.
        with torch.inference_mode(False), torch.no_grad():
            try:
                compiled = core.compile_model(self._converted(shape), "CPU", self._config)
            except Exception as error:  # Many kinds, of torch and of OpenVINO.
                raise PipelineError(
                    f"{self._model.name}: OpenVINO cannot compute this network "
                    f"({shortened(error)}); give --backend eager"
                ) from error
            self._check(compiled, shape)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with appearing(kept) as partial:
                compiled.export_model(buffer := BytesIO())
                partial.write_bytes(buffer.getvalue())
        except (OSError, SinkError) as error:
            _LOG.warning("%s: not kept for the next run (%s)", kept, shortened(error))
        return compiled

    def _kept(self, shape: tuple[int, int]) -> Path:
        """Where the compiled step for tiles of a size is kept."""
        told = (
            self._model.digest, shape, str(self._backend), sorted(self._config.items()),
            version("rurnet"), torch.__version__,
        )  # fmt: skip
        key = hashlib.sha256(repr(told).encode()).hexdigest()[:24]
        return Path(torch.hub.get_dir()) / "openvino" / f"{key}.blob"

    def _converted(self, shape: tuple[int, int]) -> Any:
        """One step as OpenVINO's graph.

        Not by `openvino.convert_model`, which tells its makers of each use. The graphs of
        `pipelines.export` are for any size, and slower: they pad every image, if by nothing.
        """
        frontend = import_module("openvino.frontend").FrontEndManager()
        decoding = import_module("openvino.frontend.pytorch.ts_decoder")
        pytorch = frontend.load_by_framework("pytorch")
        step = _Step(self.network, paired=self._backend.precision == "bf16")
        image = torch.zeros(1, self.in_channels, *shape)
        state = self.network.initial_state(image)
        with warnings.catch_warnings():
            # A size of tile is compiled for itself, so what is true of it may be taken for true.
            warnings.simplefilter("ignore")
            trace: Callable[..., Any] = torch.jit.trace  # It has no types.
            traced = trace(step, (image, *_flat(state)), check_trace=False)
        decoder = decoding.TorchScriptPythonDecoder(traced)  # It must outlive the conversion.
        graph = pytorch.convert(pytorch.load(decoder))
        inputs = (image, *_flat(state))
        graph.reshape({at: list(part.shape) for at, part in enumerate(inputs)})
        return graph

    def _check(self, compiled: Any, shape: tuple[int, int]) -> None:
        """Compares two steps on noise with torch's.

        Raises:
            PipelineError: They differ by more than rounding.
        """
        network = _plain(self.network)
        image = torch.randn(1, self.in_channels, *shape, generator=torch.Generator().manual_seed(1))
        state = theirs = network.initial_state(image)
        request = compiled.create_infer_request()
        for _ in range(1 if self.network.one_shot else 2):
            _, state = network.step(image, state)
            logits, *hidden = _run(request, [image, *_flat(theirs)])
            theirs = State(logits.softmax(dim=1), tuple(part.clone() for part in hidden))
        difference = float((theirs.mask - state.mask).abs().mean())
        if not difference <= _BOUND[self._backend.precision]:  # NaN is not.
            raise PipelineError(
                f"{self._model.name}: {self._backend} gives other probabilities than torch, by "
                f"{difference:.2g} on average; give --backend eager"
            )


def openvino() -> Any:
    """Returns the package, imported so that it reports nothing, and ready for several threads.

    Its import alone would send an event to its makers and write into the home folder. Without
    `openvino_telemetry` it does neither.
    """
    with _FIRST:
        package = _imported()
        if not _READY.is_set():
            # Its binding makes what it needs at the first tensor from an array; two threads that
            # come to that at once wait for each other, one with Python's lock, for ever.
            array = np.zeros((1, 1), np.float32)
            for shared in (True, False):
                _ = package.Tensor(array, shared_memory=shared).data.copy()
            _READY.set()
        return package


def _imported() -> Any:
    blocked = "openvino_telemetry"
    if "openvino" in sys.modules or blocked in sys.modules:
        return import_module("openvino")
    sys.modules[blocked] = None  # type: ignore[assignment]  # Python's way to say: not there.
    try:
        return import_module("openvino")
    finally:
        del sys.modules[blocked]


def _config(backend: Backend, lanes: int) -> dict[str, Any]:
    """All that changes speed or bits, so that nothing is left to defaults of a processor."""
    return {
        "INFERENCE_PRECISION_HINT": backend.precision,
        "EXECUTION_MODE_HINT": "ACCURACY" if backend.precision == "f32" else "PERFORMANCE",
        # A stream with one thread for each of our threads.
        "NUM_STREAMS": lanes,
        "INFERENCE_NUM_THREADS": lanes,
        "PERFORMANCE_HINT": "THROUGHPUT",
        # Several processes would all be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
        "ENABLE_CPU_RESERVATION": False,
        "ENABLE_HYPER_THREADING": True,
        "SCHEDULING_CORE_TYPE": "ANY_CORE",
        "CPU_DENORMALS_OPTIMIZATION": False,
    }


def _run(request: Any, parts: list[Tensor]) -> list[Tensor]:
    """Outputs for one tile, which lie where the next one's will be."""
    # The inputs of a graph can be fewer: torch leaves out none, OpenVINO those without a use.
    request.infer([part.contiguous().numpy() for part in parts], share_inputs=True)
    return [torch.from_numpy(output.data) for output in request.output_tensors]


def _flat(state: State) -> tuple[Tensor, ...]:
    return (state.mask, *state.hidden)


def _plain(network: nn.Module) -> Any:
    """A copy in torch's usual layout, in which its group norm is more exact."""
    plain = copy.deepcopy(network).cpu().eval()
    convert: Callable[..., Any] = plain.to  # The type annotations lack the memory format.
    return convert(memory_format=torch.contiguous_format)


class _Step(nn.Module):
    """A step of a network, on tensors alone; for `paired` see `rearrange`."""

    def __init__(self, network: SegmentationNetwork, *, paired: bool) -> None:
        super().__init__()
        self.network = _plain(network)
        rearrange(self.network, paired=paired)
        self.eval()

    def forward(self, image: Tensor, mask: Tensor, *hidden: Tensor) -> tuple[Tensor, ...]:
        """Logits [B, classes, H, W] and the next hidden tensors."""
        logits, state = self.network.step(image, State(mask, hidden))
        return (logits, *state.hidden)
