"""A network whose steps OpenVINO computes, compiled once for each size of tile and kept.

Imports no torch: that alone would take as much memory as all the rest. To compile takes it, and is
done by a process of its own.
"""

import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.choice import Backend
from pipelines.errors import PipelineError, shortened
from pipelines.models.weights import ModelFacts
from pipelines.runtime.caches import torch_hub
from pipelines.runtime.device import torch_version
from tiling.disk import appearing
from tiling.errors import SinkError

if TYPE_CHECKING:
    from pipelines.backends.eager import Beginning

_LOG = logging.getLogger("rurnet")

_FIRST, _READY = threading.Lock(), threading.Event()
"""Held while OpenVINO is made ready; set once it is."""

ZEROS, FEATURES = "zeros", "features"
"""How hidden tensors begin, as inputs of a compiled step are named: with zeros, or with what the
network computes of the image."""

REFUSED = 3
"""Exit status of a process that compiles, where the network is refused."""

Values = NDArray[np.float32]


class State(NamedTuple):
    """See `rurnet.network.State`."""

    mask: Values
    hidden: tuple[Values, ...]


@dataclass(frozen=True)
class Asked:
    """What is to be compiled.

    Attributes:
        source: Of the weights, see `pipelines.models.weights.Model`.
        digest: Of the weights.
        backend: What is to compute.
        lanes: Threads that are to compute at once.
        shape: Height and width of tiles.
        output: The file that takes it.
    """

    source: str
    digest: str
    backend: Backend
    lanes: int
    shape: tuple[int, int]
    output: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """Returns what was `written`."""
        values = json.loads(text)
        values |= {"backend": Backend(**values["backend"]), "shape": tuple(values["shape"])}
        return cls(**values)

    def written(self) -> str:
        """Returns it as JSON, for another process."""
        return json.dumps(asdict(self))

    @property
    def kept(self) -> Path:
        """Where it is kept once it is compiled."""
        told = (
            self.digest, self.shape, str(self.backend), sorted(config(self).items()),
            version("rurnet"), torch_version(),
        )  # fmt: skip
        return torch_hub() / "openvino" / f"{sha256(repr(told).encode()).hexdigest()[:24]}.blob"


class OpenVino:
    """Computes networks with OpenVINO; a `pipelines.backends.engine.Engine`.

    Args:
        backend: What computes.
        lanes: Threads that compute at once.
    """

    device = "cpu"

    def __init__(self, backend: Backend, lanes: int) -> None:
        self._backend = backend
        self._lanes = lanes

    def network(self, model: ModelFacts) -> "OpenVinoNetwork":
        """See `Engine`."""
        return OpenVinoNetwork(model, self._backend, self._lanes)

    def array(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Engine`."""
        return values

    def computing(self) -> AbstractContextManager[None]:
        """See `Engine`: each infer request has a thread of its own."""
        return nullcontext()


class OpenVinoNetwork:
    """Takes the steps of a network; a `pipelines.backends.engine.Stepping`.

    Each tile is computed alone, with one thread: batch, place and threads cannot matter. Several
    threads may call it at once.

    Args:
        model: The weights; their network is not built here, unless it looks at images before its
            first step.
        backend: What computes.
        lanes: Threads that compute at once.
    """

    def __init__(self, model: ModelFacts, backend: Backend, lanes: int) -> None:
        self._model = model
        self._asked = Asked(model.source, model.digest, backend, lanes, (0, 0))
        self._beginning: Beginning | None = None
        self._compiled: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()
        self._own = threading.local()

    def initial_state(self, image: Values, mask: Values | None = None) -> State:
        """See `pipelines.backends.engine.Stepping`.

        Raises:
            PipelineError: As in `step`.
        """
        count, _, *size = image.shape
        _, _, *hidden = self._request(image).get_compiled_model().inputs
        if any(one.any_name.startswith(FEATURES) for one in hidden):
            mask, *features = self._by_torch().state(image, mask)
            return State(mask, tuple(features))
        if mask is None:
            classes = self._model.network.classes
            mask = np.full((count, classes, *size), 1 / classes, np.float32)
        return State(mask, tuple(np.zeros((count, *one.shape[1:]), np.float32) for one in hidden))

    def step(self, image: Values, state: State) -> tuple[None, State]:
        """See `pipelines.backends.engine.Stepping`.

        Raises:
            PipelineError: OpenVINO cannot compute this network, or gives something else.
        """
        request = self._request(image)
        inputs = (image, state.mask, *state.hidden)
        together: list[Values] = []
        for index in range(len(image)):
            found = run(request, [part[index : index + 1] for part in inputs])
            if not together:
                together = [np.empty((len(image), *part.shape[1:]), part.dtype) for part in found]
            for every, part in zip(together, found, strict=True):
                every[index : index + 1] = part
        mask, *hidden = together
        return None, State(mask, tuple(hidden))

    def _by_torch(self) -> "Beginning":
        from pipelines.backends.eager import Beginning

        with self._lock:
            if self._beginning is None:
                self._beginning = Beginning(self._model)
            return self._beginning

    def _request(self, image: Values) -> Any:
        """What infers tiles of an image's size; each thread has its own."""
        shape = (image.shape[2], image.shape[3])
        requests: dict[tuple[int, int], Any] = self._own.__dict__.setdefault("requests", {})
        if shape not in requests:
            with self._lock:
                if shape not in self._compiled:
                    self._compiled[shape] = self._ready(replace(self._asked, shape=shape))
            requests[shape] = self._compiled[shape].create_infer_request()
        return requests[shape]

    def _ready(self, asked: Asked) -> Any:
        """The compiled step for tiles of a size: the kept one, or one that is made now."""
        core, kept = openvino().Core(), asked.kept
        try:
            return core.import_model(BytesIO(kept.read_bytes()), "CPU", config(asked))
        except FileNotFoundError:
            pass
        except (OSError, RuntimeError) as error:
            _LOG.warning("%s: cannot be used (%s); made anew", kept, shortened(error))
        height, width = asked.shape
        _LOG.info(
            "compiling %s for %s and tiles of %d x %d, once",
            self._model.name, asked.backend, width, height,
        )  # fmt: skip
        content = _compiled_elsewhere(self._model.name, asked)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with appearing(kept) as partial:
                partial.write_bytes(content)
        except (OSError, SinkError) as error:
            _LOG.warning("%s: not kept for the next run (%s)", kept, shortened(error))
        return core.import_model(BytesIO(content), "CPU", config(asked))


def _compiled_elsewhere(name: str, asked: Asked) -> bytes:
    """Compiles in a process of its own: torch and the compiler take memory for ever.

    Raises:
        PipelineError: OpenVINO cannot compute this network, or gives something else.
    """
    with TemporaryDirectory() as folder:
        output = Path(folder) / "step.blob"
        child = subprocess.run(
            [sys.executable, "-P", "-m", "pipelines.backends.compiling"],
            input=replace(asked, output=str(output)).written(), capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            check=False,
        )  # fmt: skip
        if child.returncode == REFUSED:
            raise PipelineError(json.loads(child.stdout))
        if child.returncode:
            last = (child.stderr.splitlines() or [f"status {child.returncode}"])[-1]
            raise PipelineError(
                f"{name}: OpenVINO could not compile this network ({last}); give --backend eager"
            )
        return output.read_bytes()


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


def config(asked: Asked) -> dict[str, Any]:
    """Returns all that changes speed or bits, so that nothing is left to a processor's defaults."""
    return {
        "INFERENCE_PRECISION_HINT": asked.backend.precision,
        "EXECUTION_MODE_HINT": "ACCURACY" if asked.backend.precision == "f32" else "PERFORMANCE",
        # A stream with one thread for each of our threads.
        "NUM_STREAMS": asked.lanes,
        "INFERENCE_NUM_THREADS": asked.lanes,
        "PERFORMANCE_HINT": "THROUGHPUT",
        # Several processes would all be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
        "ENABLE_CPU_RESERVATION": False,
        "ENABLE_HYPER_THREADING": True,
        "SCHEDULING_CORE_TYPE": "ANY_CORE",
        "CPU_DENORMALS_OPTIMIZATION": False,
    }


def run(request: Any, parts: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Returns the outputs for one tile, which lie where the next one's will be."""
    # The inputs of a graph can be fewer: torch leaves out none, OpenVINO those without a use.
    request.infer([np.ascontiguousarray(part) for part in parts], share_inputs=True)
    return [output.data for output in request.output_tensors]
