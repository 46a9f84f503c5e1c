"""What a step minimises: the sequence loss over a clip's pairs, from cold and warm starts, and a teacher's features."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.variational import luma_of, refine_on_images
from raftline.flow.warm_start import choose_start
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.model import CoarseFlow, EncodedFrame, Raft
from raftline.raft.upsample import upsample_bilinear
from raftline.synthetic.clip_batch import ClipBatch, network_input
from raftline.training.loss import end_point_error, sequence_loss
from raftline.training.options import TrainOptions

_ENCODED = len(EncodedFrame._fields) - 1
"""What the encoders make of a frame. The guide of upsampling is left out: a teacher has none to compare with."""


class StepLoss(NamedTuple):
    """Scalars on the device; only `loss` carries gradients."""

    loss: Tensor
    epe_px: Tensor
    """Of the first pair's last iteration, from zero."""
    warm_epe_px: Tensor
    """Of the second pair's; NaN where clips have one pair."""


class Objective:
    """The loss of a batch.

    Args:
        model: the network that is trained.
        options: the run's.
        teacher: a network whose features are learnt, and its flow where the ground truth is unknown; see
            `DistillationOptions`.

    Raises:
        ValueError: a teacher of another architecture whose features are needed.
    """

    def __init__(self, model: Raft, options: TrainOptions, teacher: Raft | None = None) -> None:
        wanted = options.distillation.features
        if teacher is not None and wanted > 0 and teacher.architecture != model.architecture:
            raise ValueError(
                f"distillation.features: {wanted} asks for the features of RAFT-{teacher.architecture}, but "
                f"RAFT-{model.architecture} is trained; their sizes differ. Set it to 0"
            )
        if teacher is not None and options.distillation.reads == "model" and teacher.architecture != model.architecture:
            raise ValueError(
                f"distillation.reads: model gives RAFT-{teacher.architecture} the features of the "
                f"RAFT-{model.architecture} that is trained; their sizes differ. Set it to own"
            )
        self.model = model
        self._options = options
        self._teacher = teacher

    def __call__(self, clips: ClipBatch, step: int, random: np.random.Generator) -> StepLoss:
        """Compute the loss.

        Args:
            clips: on the model's device.
            step: steps done, by which a teacher's weight fades.
            random: decides how the second pair starts.
        """
        # Not channels-last as in inference: the norms' backward is slow there on a CPU, and copies on a GPU.
        images = network_input(clips.frames).flatten(0, 1).contiguous()
        encoded = self._encode(images)
        frames = frames_of(encoded, *clips.frames.shape[:2])
        upsample = self.model.upsample if clips.valid.any() else self._upsample_as_taught
        clips, distance = self._taught(clips, images, encoded, step)
        loss, flow, epe_px = self._pair(frames, clips, 0, self._options.iterations, None, upsample, random)
        warm_epe_px = torch.full_like(epe_px, torch.nan)
        if len(frames) == 3:
            start = self._start(frames, flow, random)
            iterations = self._options.warm_start.iterations
            second, _, warm_epe_px = self._pair(frames, clips, 1, iterations, start, upsample, random)
            loss = (loss + second) / 2
        return StepLoss(loss + distance, epe_px, warm_epe_px)

    def _encode(self, images: Tensor) -> EncodedFrame:
        with arithmetic(self._options.precision.encoders, images.device):
            encoded = self.model.encode(images)
        return EncodedFrame(*(part.float() for part in encoded))

    def _pair(
        self,
        frames: list[EncodedFrame],
        clips: ClipBatch,
        number: int,
        iterations: int,
        start: Tensor | None,
        upsample: Callable[[CoarseFlow], Tensor],
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """-> loss, last flow in cells, end-point error of the last flow."""
        burn_in = _drawn(self._options.burn_in, random)
        refined = list(self._iterate(frames[number], frames[number + 1], iterations, start, burn_in))
        with arithmetic(self._options.precision.update, refined[-1].flow.device):
            flows_px = [upsample(each).float() for each in refined]
        truth_px, valid = clips.flows[:, number], clips.valid[:, number]
        loss = sequence_loss(flows_px, truth_px, valid, self._options.gamma)
        with torch.no_grad():
            return loss, refined[-1].flow.detach(), end_point_error(flows_px[-1], truth_px, valid)

    def _iterate(
        self, earlier: EncodedFrame, later: EncodedFrame, iterations: int, start: Tensor | None, burn_in: int = 0
    ) -> Iterator[CoarseFlow]:
        """As `Raft.iterate`, with the update block alone in the lower precision, after `burn_in` without gradients."""
        terms, state = self.model.begin(earlier, self.model.correlate(earlier, later), start)
        for done in range(1 - burn_in, iterations + 1):
            learning = torch.is_grad_enabled() and done > 0
            with arithmetic(self._options.precision.update, state.coords.device), torch.set_grad_enabled(learning):
                state = self.model.step(terms, state)
            if done < 1:
                continue
            yield CoarseFlow(state.coords - terms.origin, state.hidden, earlier.guide, done)

    def _upsample_as_taught(self, refined: CoarseFlow) -> Tensor:
        """Upsample as the teacher does where its flow stands in for the truth.

        Compared with bilinear flow, an upsampling that keeps edges would unlearn them.
        """
        as_it_is = not self._options.distillation.refined
        if self._teacher is not None and self._teacher.upsampling == "bilinear" and as_it_is:
            return upsample_bilinear(refined.flow)
        return self.model.upsample(refined)

    @torch.no_grad()
    def _start(self, frames: list[EncodedFrame], flow: Tensor, random: np.random.Generator) -> Tensor:
        """Carry the first pair's flow forward, with the errors of a long stream; zero for clips that start cold."""
        options = self._options.warm_start
        for _ in range(int(random.integers(0, options.repeats + 1))):
            *_, refined = self._iterate(frames[0], frames[1], options.iterations, flow)
            flow = refined.flow
        start = forward_splat(flow).flow
        batch = flow.shape[0]
        choosing = random.random(batch) < options.adaptive
        if choosing.any():
            features = frames[1].features, frames[2].features
            chosen = choose_start(*features, options.iterations, flow, cold_bias=0.0).flow
            start = torch.where(_floats(choosing, flow) > 0, chosen, start)
        deviation = random.uniform(0, options.noise_px, batch) * (random.random(batch) < 0.5) / 8
        start = start + _floats(deviation, flow) * _smooth_noise(flow, random)
        return start * _floats(random.random(batch) < options.share, flow)

    @torch.no_grad()
    def _teach(self, clips: ClipBatch, taught: list[EncodedFrame]) -> ClipBatch:
        """The teacher's flow where a pair has no known flow at all."""
        assert self._teacher is not None
        unknown = ~clips.valid.flatten(2).any(dim=2)
        if not unknown.any():
            return clips
        flows = clips.flows.clone()
        for number in range(flows.shape[1]):
            with arithmetic(self._options.precision.update, clips.frames.device):
                refined = self._teacher.refine(
                    taught[number], taught[number + 1], self._options.distillation.iterations
                )
            flow_px = self._teacher.upsample(refined)
            if self._options.distillation.refined:
                earlier, later = (luma_of(network_input(clips.frames[:, n])) for n in (number, number + 1))
                flow_px = refine_on_images(earlier, later, flow_px)
            flows[:, number] = torch.where(unknown[:, number, None, None, None], flow_px, flows[:, number])
        return clips._replace(flows=flows, valid=clips.valid | unknown[..., None, None])

    def _taught(self, clips: ClipBatch, images: Tensor, encoded: EncodedFrame, step: int) -> tuple[ClipBatch, Tensor]:
        """The clips with the teacher's flow, and the weighted distance to its features."""
        none = encoded.features.new_zeros(())
        if self._teacher is None:
            return clips, none
        options = self._options.distillation
        if options.reads == "model":
            return self._teach(clips, frames_of(encoded, *clips.frames.shape[:2])), none
        with torch.no_grad():
            taught = self._teacher.encode(images)
        clips = self._teach(clips, frames_of(taught, *clips.frames.shape[:2]))
        weight = options.features
        if options.features_steps is not None:
            weight *= max(0.0, 1 - step / options.features_steps)
        if weight == 0:
            return clips, none
        pairs = zip(encoded[:_ENCODED], taught[:_ENCODED], strict=True)
        distances = [F.l1_loss(ours, theirs) / theirs.abs().mean() for ours, theirs in pairs]
        return clips, weight * torch.stack(distances).sum()


def frames_of(encoded: EncodedFrame, batch: int, count: int) -> list[EncodedFrame]:
    """(B * T, ...) -> T frames of (B, ...)."""
    layout = torch.channels_last
    parts = [part.unflatten(0, (batch, count)).unbind(dim=1) for part in encoded]
    return [
        EncodedFrame(*(part.contiguous(memory_format=layout) for part in frame)) for frame in zip(*parts, strict=True)
    ]


def arithmetic(name: str, device: torch.device) -> AbstractContextManager[object]:
    """A context in which the device multiplies in float32 or bfloat16."""
    return torch.autocast(device.type, torch.bfloat16) if name == "bfloat16" else nullcontext()


def _drawn(longest: int, random: np.random.Generator) -> int:
    """Draw 0 half of the time, else 1 to `longest` with equal chances."""
    return int(random.integers(1, longest + 1)) if longest and random.random() < 0.5 else 0


def _floats(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device).view(-1, 1, 1, 1)


def _smooth_noise(like: Tensor, random: np.random.Generator) -> Tensor:
    """Of unit variance and some cells' extent, shaped as `like`."""
    batch, channels, height, width = like.shape
    coarse = random.standard_normal((batch, channels, -(-height // 4), -(-width // 4)), np.float32)
    return F.interpolate(torch.from_numpy(coarse).to(like.device), size=(height, width), mode="bilinear")
