"""What turns tiles into probabilities: one network or several, on one device."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.arrays import Array, laid_out, namespace, to_numpy
from pipelines.backends.choice import Backend
from pipelines.backends.engine import Engine
from pipelines.config.base import AUTO
from pipelines.config.inference import PredictionSettings
from pipelines.errors import DeviceLostError, DeviceMemoryError, WeightsError, shortened
from pipelines.inference.augmentation import TURNS
from pipelines.inference.lanes import LEAST, lanes_of
from pipelines.inference.stepping.bands import CHANGE, DISAGREEMENT, STEPS, bands_of
from pipelines.inference.stepping.pace import Ruled
from pipelines.inference.stepping.passes import Stepped, last_change, unrolled, until_still
from pipelines.inference.stepping.refining import ALL_STEPS, from_earlier, starting_levels
from pipelines.inputs.normalisation import ValueRange, normalised, on_8_bits
from pipelines.models.stopping import StopRule, start_gate
from pipelines.models.weights import ModelFacts, Steps, steps_taken, stop_rule
from pipelines.runtime.device import choose_device, device_lost, out_of_memory
from tiling.blend import quantise
from tiling.errors import ProbabilityError

if TYPE_CHECKING:
    import torch


class NetworkPredictor:
    """Normalises tiles and runs networks on them; a `tiling.stitch.TilePredictor`.

    A tile's bits must not depend on how tiles fell into batches, nor on how many threads there
    are. On a CPU each thread therefore computes its own tiles with one thread of torch's (group
    norm's sums would be shared out among several; and side by side is faster than together).
    Batches of one are filled up to two. On a GPU every batch is filled up to the same size. A
    backend other than torch computes each tile by itself.

    Args:
        models: Networks whose probabilities are averaged, each with its own normalisation.
        steps: Recurrent steps; None for the networks' own, "auto" for as many as each tile needs,
            but no more than these.
        device: Where torch computes; None with a backend, which takes the CPU.
        batch: Tiles at once on a GPU; a CPU's threads take two each.
        save_steps: Whether every step's probabilities are returned, or the last one's only.
        save_uncertainty: Whether there are bands for that too, see `Bands`.
        tta: Whether the eight flips and quarter turns of a tile are averaged.
        backend: What computes; None for torch.

    Raises:
        WeightsError: The steps are "auto", but a network has no rule for when to stop.
    """

    def __init__(
        self,
        models: Sequence[ModelFacts],
        steps: Steps,
        device: "torch.device | None",
        *,
        batch: int = 4,
        save_steps: bool = False,
        save_uncertainty: bool = False,
        tta: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.steps = steps_taken(models, steps)
        self.layout = bands_of(
            models, steps, save_steps=save_steps, save_uncertainty=save_uncertainty, tta=tta
        )
        self.bands = self.layout.count
        self._names = " + ".join(model.name for model in models)
        self._on_cpu = device is None or device.type == "cpu"
        lanes = lanes_of(batch, steps, on_cpu=self._on_cpu, alone=backend is not None)
        self.lanes, self.readers, self._size = lanes.count, lanes.readers, lanes.size
        self._together = lanes.packed
        self._least = LEAST if backend is None else 1
        self._packed = steps == AUTO
        self._engine = _engine(device, backend, self.lanes)
        self._members = [
            _Member(model, self._engine, stop_rule(model) if self._packed else None)
            for model in models
        ]
        self._views = list(TURNS) if tta else list(TURNS[:1])
        self.passes = passes_of(models, tta=tta)
        self._lock = threading.Lock()

    @property
    def batch(self) -> int:
        """See `TilePredictor`; more than a network takes at once where some stop early."""
        return self._size * self._together

    def __call__(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """See `predicted`; the range is that of the pixels' type."""
        return self.predicted(pixels, valid, None)

    def scaled_from(
        self, value_range: ValueRange | None, ruled: Ruled | None = None
    ) -> "_ScaledPredictor":
        """The same networks for the scenes of a range, and by a rule, as `predicted` takes them."""
        return _ScaledPredictor(self, value_range, ruled)

    def predicted(
        self,
        pixels: NDArray[Any],
        valid: NDArray[np.bool_],
        value_range: ValueRange | None,
        ruled: Ruled | None = None,
        begun: "Starts | None" = None,
    ) -> NDArray[np.uint16]:
        """Probabilities of tiles: see `tiling.stitch.TilePredictor`.

        Args:
            pixels: As in `TilePredictor`.
            valid: As in `TilePredictor`.
            value_range: Pixel values that stand for 0 and 255 of the images trained on; None for
                those of the type: 0 to 255, 0 to 65535, 0 to 32767, 0 to 1.
            ruled: The rule by which tiles stop, where the steps are "auto"; None for the weights'
                own.
            begun: The masks that they start from; None for none.

        Raises:
            DeviceLostError: The device failed, or is gone.
            DeviceMemoryError: Not even two tiles fit into the device's memory.
            WeightsError: The networks' probabilities are no finite numbers.
        """
        scaled, device = on_8_bits(pixels, value_range), self._engine.device
        results: list[NDArray[np.uint16]] = []
        while (start := sum(map(len, results))) < len(scaled):
            size = self._size
            chunk = slice(start, start + self.batch)
            some = None if begun is None else begun[chunk]
            try:
                with self._engine.computing():
                    found = self._predicted(scaled[chunk], valid[chunk], size, ruled, some)
                results.append(found)
            except ProbabilityError as error:
                # Tiles are finite and bounded, so it cannot be the scene.
                raise WeightsError(
                    f"{self._names}: {error}; the weights are damaged, or too large for "
                    f"{device}: give others"
                ) from error
            except (MemoryError, RuntimeError) as error:
                if device_lost(error):
                    raise DeviceLostError(
                        f"device {device}: lost ({shortened(error)}); look at nvidia-smi, "
                        "then run again: it goes on with what is missing, on a GPU that works"
                    ) from error
                if not out_of_memory(error):
                    raise
                self._halve(size, error)
        return np.concatenate(results)

    def seconds_per_step(self, tile: int) -> list[float]:
        """What tiles take up to and with each step, measured now on two of them.

        Args:
            tile: Side in pixels.

        Returns:
            Seconds per megapixel for 1, 2, ... steps, on one thread of a CPU or on the GPU.
        """
        nothing = np.zeros((LEAST, self._members[0].bands, tile, tile), np.float32)
        found = []
        with self._engine.computing():
            pixels = laid_out(self._engine.array(nothing))
            # The first time warms up.
            for steps in (1, *range(1, self.steps + 1)):
                start = time.perf_counter()
                for member in self._members:
                    for _ in self._views:
                        last = unrolled(member.network, pixels, steps)[-1]
                        float(namespace(last).sum(last))  # Waits for a GPU.
                found.append((time.perf_counter() - start) / (LEAST * tile**2 / 1e6))
        return found[1:]

    def _predicted(
        self,
        pixels: NDArray[np.float32],
        valid: NDArray[np.bool_],
        size: int,
        ruled: Ruled | None,
        begun: "Starts | None",
    ) -> NDArray[np.uint16]:
        """Fixed-point probabilities of some tiles, of which `size` go together."""
        count = len(pixels)
        least = 0 if self._packed or begun is not None else self._least
        lacking = (least if self._on_cpu or not least else size) - count
        if lacking > 0:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], lacking, axis=0)])
            valid = np.concatenate([valid, np.repeat(valid[-1:], lacking, axis=0)])
        image, there = self._engine.array(pixels), self._engine.array(valid)[:, None]
        xp = namespace(image)
        mask = None
        if begun is not None:
            mask = starting_levels(self._engine.array(begun.levels))
        # Added up in a fixed order: sums of floats depend on it.
        total = squares = self._engine.array(np.zeros((), np.float32))
        for member in self._members:
            scaled = normalised(image, there, member.mean, member.std)
            for turned, turned_back in self._views:
                seen = laid_out(turned(scaled))
                if begun is None or mask is None:
                    bands = turned_back(self._pass(member, seen, size, ruled))
                else:
                    found, cold = self._refine(member, seen, turned(there), turned(mask), size)
                    begun.cold[:] |= cold
                    bands = turned_back(found)
                total = total + bands
                if DISAGREEMENT in self.layout.others:
                    squares = squares + bands[:, self.layout.last] ** 2
        mean = total[:count] / self.passes
        if DISAGREEMENT in self.layout.others:
            variance = squares[:count] / self.passes - mean[:, self.layout.last] ** 2
            deviation = xp.sqrt(xp.clip(variance, min=0))
            mean = xp.concat([mean, xp.max(deviation, axis=1, keepdims=True)], axis=1)
        return quantise(to_numpy(mean))

    def _pass(self, member: "_Member", seen: Array, size: int, ruled: Ruled | None) -> Array:
        """All bands of a network and a view, but for what takes several [n, bands, t, t]."""
        if member.rule is None:
            steps = unrolled(member.network, seen, self.steps)
            stepped = None
        else:
            rule = member.rule if ruled is None else ruled.rule
            stepped = until_still(
                member.network, seen, self.steps, rule, size,
                same_size=not self._on_cpu, least=self._least,
            )  # fmt: skip
            steps = stepped.every
            if ruled is not None:
                ruled.note(stepped)
        return self._bands(steps, stepped)

    def _refine(
        self, member: "_Member", seen: Array, there: Array, mask: Array, size: int
    ) -> tuple[Array, NDArray[np.bool_]]:
        """The bands of tiles that start from a mask, and which of them began anew."""
        rule = member.rule or ALL_STEPS
        refined = from_earlier(
            member.network, seen, there, mask, self.steps, rule, member.gate or 0, size,
            same_size=not self._on_cpu, least=self._least,
        )  # fmt: skip
        bands = self._bands(refined.stepped.every, refined.stepped)
        return bands, to_numpy(refined.cold)

    def _bands(self, steps: list[Array], stepped: Stepped | None) -> Array:
        """All bands, from the probabilities after each step."""
        xp = namespace(steps[-1])
        bands = steps[-self.layout.steps :]
        if stepped is not None and STEPS in self.layout.others:
            share = xp.astype(stepped.taken, xp.float32) / self.steps
            bands.append(xp.broadcast_to(share[:, None, None, None], bands[-1][:, :1].shape))
        if CHANGE in self.layout.others:
            change = steps[-1] - steps[-2] if stepped is None else last_change(stepped)
            bands.append(xp.max(xp.abs(change), axis=1, keepdims=True))
        return xp.concat(bands, axis=1)

    def _halve(self, size: int, error: Exception) -> None:
        """Halves the batch after `size` tiles were too many, unless another lane already did."""
        with self._lock:
            if self._size == size:
                if size <= LEAST:
                    raise DeviceMemoryError(
                        f"device {self._engine.device}: out of memory with {size} tiles at once; "
                        "give a smaller --tile, or --device cpu"
                    ) from error
                self._size = max(LEAST, size // 2)
        if not self._on_cpu:
            import torch

            torch.cuda.empty_cache()


@dataclass(frozen=True)
class _ScaledPredictor:
    """A predictor for the scenes of one range of values; a `tiling.stitch.TilePredictor`.

    Attributes:
        predictor: What predicts.
        value_range: See `NetworkPredictor.predicted`.
        ruled: See `NetworkPredictor.predicted`.
    """

    predictor: NetworkPredictor
    value_range: ValueRange | None
    ruled: Ruled | None

    @property
    def bands(self) -> int:
        """See `TilePredictor`."""
        return self.predictor.bands

    @property
    def batch(self) -> int:
        """See `TilePredictor`."""
        return self.predictor.batch

    @property
    def lanes(self) -> int:
        """See `TilePredictor`."""
        return self.predictor.lanes

    @property
    def readers(self) -> int:
        """See `TilePredictor`."""
        return self.predictor.readers

    def __call__(self, pixels: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """See `TilePredictor`."""
        return self.predictor.predicted(pixels, valid, self.value_range, self.ruled)

    def refined(
        self, pixels: NDArray[Any], valid: NDArray[np.bool_], starts: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """See `TilePredictor`."""
        begun = Starts(starts, np.zeros(len(starts), bool))
        found = self.predictor.predicted(pixels, valid, self.value_range, begun=begun)
        return found, begun.cold


@dataclass(frozen=True)
class Starts:
    """Earlier masks that tiles start from, and which of them were of no use.

    Attributes:
        levels: Of the masks [b, classes - 1, t, t].
        cold: Takes the tiles that a network began anew [b].
    """

    levels: NDArray[np.uint8]
    cold: NDArray[np.bool_]

    def __getitem__(self, which: slice) -> "Starts":
        """Some of them; what is noted of these is noted here."""
        return Starts(self.levels[which], self.cold[which])


class _Member:
    """One network on its engine, with the statistics of what it was trained on."""

    def __init__(self, model: ModelFacts, engine: Engine, rule: StopRule | None) -> None:
        self.rule = rule
        self.gate = start_gate(model.digest)
        self.network = engine.network(model)
        self.bands = len(model.card.mean)
        self.mean, self.std = (
            engine.array(np.array(each, np.float32)[:, None, None])
            for each in (model.card.mean, model.card.std)
        )


def _engine(device: "torch.device | None", backend: Backend | None, lanes: int) -> Engine:
    """What computes; torch is imported for nothing else than to compute."""
    if backend is not None:
        from pipelines.backends.openvino import OpenVino

        return OpenVino(backend, lanes)
    from pipelines.backends.eager import Eager

    assert device is not None
    return Eager(device)


def passes_of(models: Sequence[ModelFacts], *, tta: bool) -> int:
    """Returns how often a tile is computed, each time with all its steps."""
    return len(models) * (len(TURNS) if tta else 1)


def predictor_for(
    models: Sequence[ModelFacts], settings: PredictionSettings, backend: Backend | None = None
) -> NetworkPredictor:
    """The networks on their device, as the settings want them.

    Args:
        models: The networks.
        settings: The settings.
        backend: What computes on a CPU; None for torch.

    Raises:
        PipelineError: No such device.
        WeightsError: See `NetworkPredictor`.
    """
    return NetworkPredictor(
        models,
        settings.steps,
        choose_device(settings.device) if backend is None else None,
        batch=settings.batch,
        save_steps=settings.save_steps,
        save_uncertainty=settings.save_uncertainty,
        tta=settings.tta,
        backend=backend,
    )
