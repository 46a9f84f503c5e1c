"""The training loop."""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from raftline.raft.devices import keep_freed_memory
from raftline.raft.model import Raft
from raftline.raft.weights.loading import load_raft
from raftline.synthetic.clip_batch import ClipBatch
from raftline.training.blocks import BlockObjective
from raftline.training.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from raftline.training.objective import Objective, StepLoss
from raftline.training.options import TrainOptions
from raftline.training.processes import average, process_count, rank
from raftline.training.schedule import learning_rate
from raftline.training.sources import Sources
from raftline.training.validation import Validation, validate


class DivergedError(ValueError):
    """The loss is not finite. The last checkpoint is intact."""


class StepReport(NamedTuple):
    """Measures of one step, averaged over the processes."""

    step: int
    """Steps done, including this one."""
    loss: float
    epe_px: float
    warm_epe_px: float
    learning_rate: float
    gradient: float
    """Norm before clipping."""


class Trainer:
    """A training run, from the checkpoint in `options.output` or from the start.

    In a process group of torch each process trains on its own clips, and their gradients are averaged. The first one
    keeps the moving average and writes the files.

    Raises:
        ValueError: weights, data or checkpoint that cannot be used; the message names them.
    """

    def __init__(self, options: TrainOptions, device: torch.device) -> None:
        self.options = options
        self.device = device
        _prepare(device, options)
        self.model = _initial(options).to(device)
        self.average = Raft(options.architecture, self.model.upsampling)
        self.average.load_state_dict(self.model.state_dict())
        self.average.eval().requires_grad_(False).to(device)
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(self.model, options.schedule.by_layer),
            lr=options.schedule.learning_rate,
            weight_decay=options.weight_decay,
            eps=options.epsilon,
            fused=device.type == "cuda",
        )
        teacher = None
        if options.distillation.teacher is not None:
            teacher = load_raft(options.distillation.teacher, device)
        objective = BlockObjective if options.distillation.blocks else Objective
        loss = _Loss(self.model, objective(self.model, options, teacher))
        self.sources = Sources(options, device, rank(), process_count())
        self.steps_done = 0
        checkpoint = load_checkpoint(options.output, options.architecture)
        if checkpoint is not None:
            self._restore(checkpoint)
        self._loss = _distributed(loss, teacher is not None) if process_count() > 1 else loss
        self._unread: _Unread | None = None

    def step(self) -> Callable[[], StepReport]:
        """Do one update.

        Returns:
            A function that gives the report. Calling it waits for the device.

        Raises:
            DivergedError: the previous step's loss was not finite. The message names its clips; nothing was saved.
        """
        options, done = self.options, self.steps_done
        rate = learning_rate(done, options.steps, options.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self._optimizer.zero_grad()
        random = np.random.Generator(np.random.PCG64([options.seed, 2, done, rank()]))
        losses, names = self._backward(done, random)
        told = torch.stack(list(losses))
        self.check()
        self._unread = _Unread(told, names)
        average(told)
        length = nn.utils.clip_grad_norm_(self.model.parameters(), options.clip)
        self._optimizer.step()
        if rank() == 0:
            self._follow()
        self.steps_done = done + 1
        return lambda: _report(done + 1, told, rate, length)

    def check(self) -> None:
        """Wait for the last step's loss and check it. Raises DivergedError."""
        unread, self._unread = self._unread, None
        loss = 0.0 if unread is None else unread.loss()
        if unread is not None and not math.isfinite(loss):
            raise DivergedError(
                f"the loss of step {self.steps_done} is {loss}; its clips: {', '.join(unread.names)}. "
                f"Training stopped; {self.options.output} holds the state of its last checkpoint. "
                "Lower schedule.learning_rate or clip, or look at these clips"
            )

    def save(self) -> None:
        """Write checkpoint and weights, in the first process. Raises DivergedError, CheckpointError, OSError."""
        self.check()
        if rank() == 0:
            first, second = (
                {name: self._optimizer.state[parameter][key] for name, parameter in self._learning()}
                for key in ("exp_avg", "exp_avg_sq")
            )
            checkpoint = Checkpoint(self.steps_done, self.model.state_dict(), self.average.state_dict(), first, second)
            save_checkpoint(self.options.output, checkpoint, self.options.architecture)

    def validate(self) -> Validation:
        """Measure the averaged weights on the validation clips."""
        options = self.options.validation
        warm = self.options.warm_start.iterations
        clips = self.sources.validation(self.options)
        return validate(self.average, clips, options.clips, options.iterations, warm)

    def _backward(self, done: int, random: np.random.Generator) -> tuple[StepLoss, list[str]]:
        """Add up the gradients of the step's batches, weighted by size. Returns mean losses and the clips' names."""
        total: list[Tensor] = []
        names: list[str] = []
        whole = self.sources.clips_per_step // process_count()
        for number, clips in enumerate(self.sources.batches(done), start=1):
            share = len(clips.names) / whole
            with self._averaging(number == self.sources.batches_per_step):
                losses = self._loss(clips, done, random)
                (losses.loss * share).backward()
            total.append(torch.stack([losses.loss.detach() * share, losses.epe_px * share, losses.warm_epe_px]))
            names += clips.names
        loss, epe_px, warm_epe_px = torch.stack(total).unbind(dim=1)
        return StepLoss(loss.sum(), epe_px.sum(), warm_epe_px.nanmean()), names

    def _averaging(self, last: bool) -> AbstractContextManager[None]:
        """Gradients of a step's batches add up, and the last batch's backward averages them over the processes."""
        if last or not isinstance(self._loss, DistributedDataParallel):
            return nullcontext()
        return self._loss.no_sync()

    @torch.no_grad()
    def _follow(self) -> None:
        """Update the moving average. It is short in a run's first steps, so that it forgets the initial weights."""
        decay = min(self.options.ema, (1 + self.steps_done) / (10 + self.steps_done))
        for ours, source in zip(self.average.parameters(), self.model.parameters(), strict=True):
            ours.lerp_(source, 1 - decay)
        for buffer, source in zip(self.average.buffers(), self.model.buffers(), strict=True):
            buffer.copy_(source)

    def _learning(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad)

    def _restore(self, checkpoint: Checkpoint) -> None:
        if self.model.state_dict().keys() != checkpoint.model.keys():
            raise CheckpointError(
                f"upsampling: {self.model.upsampling} is not that of the network in {self.options.output}. "
                "Give another `output`, and its weights as `initial`"
            )
        self.model.load_state_dict(dict(checkpoint.model))
        self.average.load_state_dict(dict(checkpoint.average))
        learning = dict(self._learning())
        if learning.keys() != checkpoint.moment1.keys():
            raise CheckpointError(
                f"learn: {self.options.learn} is not what the checkpoint in {self.options.output} has learnt with. "
                "Give another `output`, and its weights as `initial`"
            )
        for name, parameter in learning.items():
            moments = (checkpoint.moment1[name], checkpoint.moment2[name])
            first, second = (torch.empty_like(parameter).copy_(moment).detach() for moment in moments)
            step = torch.tensor(float(checkpoint.step), device=self.device)
            self._optimizer.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
        self.steps_done = checkpoint.step


class _Loss(nn.Module):
    """An objective as a module of the trained network alone, which DistributedDataParallel can wrap."""

    def __init__(self, model: Raft, objective: Objective | BlockObjective) -> None:
        super().__init__()
        self.model = model
        self._objective = objective

    def forward(self, clips: ClipBatch, step: int, random: np.random.Generator) -> StepLoss:
        return self._objective(clips, step, random)


def _distributed(loss: _Loss, has_teacher: bool) -> DistributedDataParallel:
    # Of a 1x1 kernel the channels-last layout and the plain one are the same memory; torch warns that they differ.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # A teacher's blocks or its upsampling may stand in for parts of the network, whose parameters get no gradient.
    return DistributedDataParallel(loss, find_unused_parameters=has_teacher)


class _Unread:
    """A step's losses on their way from the device. Reading them waits for that step, not for later ones."""

    def __init__(self, told: Tensor, names: list[str]) -> None:
        self.names = names
        on_gpu = told.device.type == "cuda"
        self._copy = torch.empty(told.shape, pin_memory=on_gpu).copy_(told, non_blocking=on_gpu)
        self._arrived = torch.cuda.Event() if on_gpu else None
        if self._arrived is not None:
            self._arrived.record()

    def loss(self) -> float:
        """This process's loss."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._copy[0])


def _prepare(device: torch.device, options: TrainOptions) -> None:
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        return
    keep_freed_memory()
    if options.threads is not None:
        torch.set_num_threads(options.threads)


def _initial(options: TrainOptions) -> Raft:
    torch.manual_seed(options.seed)
    if options.initial is None:
        model = Raft(options.architecture, options.upsampling)
    else:
        model = _begun(options.initial, options)
    model.train()
    if options.learn == "upsampling" and model.mask_predictor is None:
        raise ValueError("learn: upsampling, but bilinear upsampling learns nothing. Set upsampling: guided, or convex")
    if options.learn != "all":
        model.feature_encoder.requires_grad_(False)
        model.context_encoder.requires_grad_(False)
        model.update_block.requires_grad_(options.learn == "update_block")
    if options.freeze_batch_norm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    return model


def _begun(initial: str, options: TrainOptions) -> Raft:
    """Load the network of `initial`, with another upsampling where `options` ask for it."""
    loaded = load_raft(initial, "cpu")
    if loaded.architecture != options.architecture:
        raise ValueError(
            f"initial: {initial} is RAFT-{loaded.architecture}, but architecture is {options.architecture}"
        )
    model = Raft(options.architecture, options.upsampling or loaded.upsampling)
    known = loaded.state_dict()
    if model.upsampling != loaded.upsampling:
        known = {key: value for key, value in known.items() if not key.startswith("mask_predictor.")}
    model.load_state_dict({**model.state_dict(), **known})
    return model


def _parameter_groups(model: Raft, by_layer: bool) -> list[dict[str, object]]:
    """Groups for the optimizer, of a model with its initial weights. `share`: share of the schedule's learning rate."""
    if not by_layer:
        return [{"params": list(model.parameters()), "share": 1.0}]
    layers = [module for module in model.modules() if isinstance(getattr(module, "weight", None), nn.Parameter)]
    return [
        {
            "params": list(layer.parameters()),
            "share": float(layer.get_parameter("weight").detach().square().mean().sqrt()),
        }
        for layer in layers
    ]


def _report(step: int, told: Tensor, rate: float, length: Tensor) -> StepReport:
    loss, epe_px, warm_epe_px = told.tolist()
    return StepReport(step, loss, epe_px, warm_epe_px, rate, float(length))


def seconds_left(begun: float, done_here: int, to_do: int) -> float:
    """Estimate from the speed so far."""
    return (time.monotonic() - begun) / max(1, done_here) * to_do
