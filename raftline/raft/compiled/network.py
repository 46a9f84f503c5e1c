"""RAFT whose convolutions OpenVINO runs."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from threading import Thread

import torch
from torch import Tensor

from raftline.kernels.cell import CELL_PX
from raftline.raft.compiled import graphs
from raftline.raft.compiled.graph import Arithmetic, CompiledGraph
from raftline.raft.compiled.kept_graphs import KeptGraphs
from raftline.raft.compiled.layers import Layers, Ranges
from raftline.raft.correlation import Correlation
from raftline.raft.model import CoarseFlow, EncodedFrame, PairTerms, Raft, UpdateState, grid_coordinates
from raftline.raft.precision import Precision
from raftline.raft.update import GateTerms
from raftline.raft.upsample import GuidedMaskPredictor, steps

_GRAPHS = 32
"""Compiled graphs that are kept: the four parts for eight sizes of frame or part of it. Chosen by hand."""


class CompiledRaft(Raft):
    """`Raft` for inference on a CPU: the same parts, compiled for each size of frame when it is first met.

    Correlation, its lookup, and upsampling stay raftline's own kernels.

    Args:
        model: in eval mode, float32, on the CPU; its weights are shared.
        precision: its `compiled` names the arithmetic.
        ranges: convolutions that are named in it multiply in 8 bits, everything else in float32.
        kept: where compiled graphs are looked for, and kept.
    """

    runtime = "openvino"

    def __init__(
        self, model: Raft, precision: Precision, ranges: Ranges | None = None, kept: KeptGraphs | None = None
    ) -> None:
        super(Raft, self).__init__()  # not Raft's own, which makes new weights
        self.architecture, self.dimensions, self.upsampling = model.architecture, model.dimensions, model.upsampling
        self.feature_encoder, self.context_encoder = model.feature_encoder, model.context_encoder
        self.update_block, self.mask_predictor = model.update_block, model.mask_predictor
        self.eval()
        self.precision = precision
        self._ranges, self._kept = ranges, kept
        self._arithmetic: Arithmetic = "bf16" if precision.compiled == "bfloat16" else "f32"
        self._graphs: OrderedDict[object, Future[CompiledGraph]] = OrderedDict()

    def encode(self, image: Tensor) -> EncodedFrame:
        """See Raft. What a pair needs is compiled at the same time, where there is a second thread for it."""
        if torch.get_num_threads() > 1:
            height, width = image.shape[2:]
            for part in (graphs.update, graphs.context_terms):
                self._begin(part, height // CELL_PX, width // CELL_PX, meanwhile=True)
        parts = self._run(graphs.encoders, image)
        return EncodedFrame(*parts) if len(parts) == 4 else EncodedFrame(*parts, guide=parts[2][:, :0])

    def begin(
        self, earlier: EncodedFrame, correlation: Correlation, flow_init: Tensor | None = None
    ) -> tuple[PairTerms, UpdateState]:
        """See Raft."""
        origin = grid_coordinates(earlier.hidden)
        added = self._run(graphs.context_terms, earlier.context)
        in_graph = origin.new_empty(0)
        gates = [GateTerms(in_graph, zr, in_graph, q) for zr, q in zip(added[::2], added[1::2], strict=True)]
        terms = PairTerms(correlation, gates, origin)
        return terms, UpdateState(earlier.hidden, origin if flow_init is None else origin + flow_init)

    def step(self, terms: PairTerms, state: UpdateState) -> UpdateState:
        """See Raft."""
        correlation, flow = terms.correlation.lookup(state.coords), state.coords - terms.origin
        added = [term for gate in terms.gates for term in (gate.zr_context, gate.q_context)]
        hidden, delta = self._run(graphs.update, state.hidden, correlation, flow, *added)
        return UpdateState(hidden, state.coords + delta)

    def upsampling_weights(self, coarse: CoarseFlow) -> Tensor:
        """See Raft."""
        seen = coarse.hidden
        if isinstance(self.mask_predictor, GuidedMaskPredictor):
            seen = torch.cat([coarse.hidden, coarse.guide, steps(coarse.flow)], dim=1)
        return self._run(graphs.upsampling_weights, seen)[0]

    def _run(self, part: graphs.Part, *inputs: Tensor) -> list[Tensor]:
        """Run a part for each of the B."""
        graph = self._graph(part, *inputs[0].shape[2:])
        each = [graph(*(tensor[number : number + 1] for tensor in inputs)) for number in range(len(inputs[0]))]
        return each[0] if len(each) == 1 else [torch.cat(outputs) for outputs in zip(*each, strict=True)]

    def _graph(self, part: graphs.Part, height: int, width: int) -> CompiledGraph:
        return self._begin(part, height, width).result()

    def _begin(self, part: graphs.Part, height: int, width: int, meanwhile: bool = False) -> Future[CompiledGraph]:
        """The graph, compiled when it is first asked for; `meanwhile`: in a thread of its own."""
        threads = torch.get_num_threads()
        key = (part, height, width, threads)
        if key not in self._graphs:
            future = self._graphs[key] = Future[CompiledGraph]()
            compilation = Thread(target=self._compile, args=(future, part, height, width, threads))
            compilation.start() if meanwhile else compilation.run()
            if len(self._graphs) > _GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]

    def _compile(self, future: Future[CompiledGraph], part: graphs.Part, height: int, width: int, threads: int) -> None:
        try:
            future.set_result(self._compiled(part, height, width, threads))
        except BaseException as error:  # raised where the graph is asked for
            future.set_exception(error)

    def _compiled(self, part: graphs.Part, height: int, width: int, threads: int) -> CompiledGraph:
        """The graph as it was kept, or else compiled, and kept."""
        names = part.__name__, height, width, threads, self._arithmetic
        blob = None if self._kept is None else self._kept.get(*names)
        graph = None if blob is None else CompiledGraph.read(blob, self._arithmetic, threads)
        if graph is None:
            graph = CompiledGraph.of(self._layers(part, height, width), self._arithmetic, threads)
            if self._kept is not None:
                self._kept.put(graph.written(), *names)
        return graph

    def _layers(self, part: graphs.Part, height: int, width: int) -> Layers:
        layers = Layers(self._ranges)
        part(layers, self, height, width)
        return layers
