"""The Lightning module: a network, the multi-step loss, and the held-out images' scores."""

from math import inf
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from pipelines.config.training import TrainingSettings
from pipelines.errors import TrainingError
from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.runtime.device import choose_device, training_layout
from pipelines.sampling.batches import stream
from pipelines.sampling.initial_masks import starting_mask
from pipelines.scores.curve import HALF, mean_of_defined
from pipelines.scores.histogram import Histogram, curve_of, foreground_at
from pipelines.training.objective import Objective
from pipelines.training.teaching import Teachers
from rurnet.loss import SoftTargets, label_weight, multi_step_loss
from rurnet.registry import create

_LARGEST_GRADIENT = 1.0


_LATE = 0.2
"""With random steps: share of the iterations that take some steps without a loss first."""


class SegmentationModule(lightning.LightningModule):
    """A network, the multi-step loss, and the held-out images' scores.

    Args:
        settings: Settings of the training.
        objective: Objective of the training.
        data_sets: How many data sets the held-out images are of.
    """

    def __init__(
        self, settings: TrainingSettings, objective: Objective, data_sets: int = 1
    ) -> None:
        super().__init__()
        # A batch is worked through in parts, and the optimizer takes one step for all of them.
        self.automatic_optimization = False
        self.settings = settings
        self.how = settings.how
        self.objective = objective
        self.layout = training_layout(choose_device("auto"))
        self.network = create(settings.model, **objective.arguments).laid_out(self.layout)
        if objective.start is not None:
            self.network.load_state_dict(objective.start)
        self.teachers = Teachers(objective, self.layout) if objective.teachers else None
        self.counts = Histogram().counts
        self.data_sets = data_sets
        weights = torch.tensor(objective.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def training_step(self, batch: dict[str, Tensor], _: int) -> None:
        """One step of the optimizer (equation 7).

        Raises:
            TrainingError: The loss or its gradient is not a number any more.
        """
        optimizer = cast(LightningOptimizer, self.optimizers())
        optimizer.zero_grad()
        labels = batch["label"][:, 0]
        class_weights = self.get_buffer("class_weights")
        # Over all processes, as their parts differ in labelled pixels. Gradients are averaged
        # over the processes, hence the mean of the weights and not their sum.
        denominator = self._over_processes(label_weight(labels, class_weights), "mean")
        taught = self._taught(batch["valid"])
        parts = min(self.settings.accumulate, len(labels))
        before, steps = self._steps()
        loss = labels.new_zeros((), dtype=torch.float32)
        pieces = [batch[key].tensor_split(parts) for key in ("image", "label", "valid", "start")]
        for image, label, valid, start in zip(*pieces, strict=True):
            part = multi_step_loss(
                self._logits(image, start, before, steps),
                label[:, 0],
                alpha=self.objective.alpha,
                class_weights=class_weights,
                dice=self.settings.dice / parts,
                cldice=self.settings.cldice / parts,
                denominator=denominator,
                soft=self._soft_targets(image, valid, taught),
            )
            self.manual_backward(part)
            loss += part.detach()
        clip = _LARGEST_GRADIENT if self.how.optimizer == "adamw" else inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), clip)
        self._check(loss, norm)
        optimizer.step()
        cast(LRScheduler, self.lr_schedulers()).step()
        self.log("train/loss", self._over_processes(loss, "mean"), prog_bar=True)

    def _taught(self, valid: Tensor) -> Tensor | None:
        """How many pixels of the batch are taught; None where only labels teach."""
        if self.teachers is None and not self.settings.self_teaching:
            return None
        return self._over_processes(valid.sum(dtype=torch.float32), "mean")

    def _soft_targets(
        self, image: Tensor, valid: Tensor, taught: Tensor | None
    ) -> SoftTargets | None:
        """What teaches a part of the batch besides the labels; for `taught` see `_taught`."""
        if taught is None:
            return None
        return SoftTargets(
            valid[:, 0],
            teacher=None if self.teachers is None else self.teachers.probabilities(image, valid),
            teacher_weight=self.settings.teacher_weight,
            own_weight=self.settings.self_teaching,
            denominator=taught,
        )

    def _logits(self, image: Tensor, start: Tensor, before: int, steps: int) -> list[Tensor]:
        """Logits of `steps` steps with a loss, after `before` steps without one."""
        image = image.contiguous(memory_format=self.layout)
        mask = starting_mask(start, self.network.classes).to(image)
        state = self.network.initial_state(image, mask)
        with torch.no_grad():
            for _ in range(before):
                _, state = self.network.step(image, state)
        return self.network.unroll(image, state, steps)

    def _steps(self) -> tuple[int, int]:
        """How many steps are taken without a loss, and then with one.

        Often fewer than the network's N have a loss, so that a mask is good after one step too; t
        steps are taken t times as often as one. Sometimes steps come before these, so that more
        than N steps do not make a mask worse.
        """
        most = self.network.steps
        # Drawn by the iteration's number: all processes agree, and so does a resumed training.
        random = stream("steps", self.settings.seed, self.global_step)
        if self.network.one_shot or not self.how.random_steps:
            return 0, most
        if random.random() < _LATE:
            return int(random.integers(1, most + 1)), most
        often = np.arange(1, most + 1)
        return 0, int(random.choice(often, p=often / often.sum()))

    def _over_processes(self, value: Tensor, operation: str) -> Tensor:
        """Mean or sum of a value over all processes."""
        return cast(Tensor, self.trainer.strategy.reduce(value, reduce_op=operation))

    def _check(self, loss: Tensor, norm: Tensor) -> None:
        """Stops before the optimizer's step: with it the weights would be lost."""
        if torch.isfinite(loss) and torch.isfinite(norm):
            return
        what = "loss" if not torch.isfinite(loss) else "gradient"
        raise TrainingError(
            f"iteration {self.global_step + 1}: the {what} is not a number any more; what "
            "checkpoints there are, are from before it; train with a lower --learning-rate, "
            "in another --output or with --overwrite"
        )

    def on_validation_epoch_start(self) -> None:
        """Starts a new count."""
        self.histograms = [Histogram() for _ in range(self.data_sets)]

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Counts the held-out tiles' pixels."""
        image = batch["image"].contiguous(memory_format=self.layout)
        foreground = 1 - self.network(image)[-1].float().softmax(dim=1)[:, 0]
        levels = (foreground * 254).round().to(torch.uint8).cpu().numpy()
        label = batch["label"][:, 0].cpu().numpy()
        counted = label != IGNORE_INDEX
        for number, *tile in zip(batch["data_set"].tolist(), levels, label, counted, strict=True):
            of_tile, labelled, there = tile
            self.histograms[number].add(of_tile, (labelled > 0) & there, there)

    def on_validation_epoch_end(self) -> None:
        """Logs F1 at probability 0.5 and break-even: each data set's, and their mean.

        A large data set must not hide what a small one of another place or camera loses.
        """
        ours = torch.from_numpy(np.stack([one.counts for one in self.histograms])).to(self.device)
        counts = self._over_processes(ours, "sum").cpu().numpy()
        self.counts = counts.sum(axis=0)
        scores = {
            "f1": foreground_at(counts, HALF).f1,
            "break_even": curve_of(counts).break_even().value,
        }
        for name, values in scores.items():
            # They are the same in all processes, but Lightning wants to hear it.
            self.log(
                f"held_out/{name}", float(mean_of_defined(values)), prog_bar=True, sync_dist=True
            )
            for number in range(self.data_sets if self.data_sets > 1 else 0):
                if not np.isnan(values[number]):
                    self.log(f"held_out/{name}_{number + 1}", float(values[number]), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the held-out counts with the weights they belong to."""
        checkpoint["held_out_counts"] = self.counts.tolist()

    def configure_optimizers(self) -> Any:
        """The protocol's optimizer and schedule."""
        rate, iterations = self.how.learning_rate, self.how.iterations
        optimizer: torch.optim.Optimizer
        schedule: LRScheduler
        if self.how.optimizer == "adamw":
            optimizer = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=1e-4)
            # The first phase has pct_start * iterations - 1 iterations. If that is 0, torch divides
            # by zero.
            rising = 0.2 if iterations == 10 else 0.1
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=rate, total_steps=iterations, pct_start=rising
            )
        else:
            optimizer = torch.optim.SGD(self.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
            every = max(1, round(iterations * self.how.decay_interval))
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, every, gamma=0.95)
        return [optimizer], [schedule]
