"""Global average pooling as the mean that it is.

At output size 1 PyTorch computes adaptive average pooling as a mean. It also gives the result the memory layout of what
it pools, and for channels-last tensors, as ConvNeXt has them, ONNX spells that as gathering by computed places. A plan
has no use for a layout.
"""

import torch
from torch.export import ExportedProgram

_AVERAGES = {
    torch.ops.aten.adaptive_avg_pool1d.default: [-1],
    torch.ops.aten.adaptive_avg_pool2d.default: [-1, -2],
    torch.ops.aten.adaptive_avg_pool3d.default: [-1, -2, -3],
}


def pool_by_means(program: ExportedProgram) -> None:
    """Let every adaptive average pooling of ``program`` to one value a channel be a mean, which gives the same bits."""
    for node in program.graph.nodes:
        axes = _AVERAGES.get(node.target)
        if axes is not None and all(size == 1 for size in node.args[1]):
            node.target, node.args = torch.ops.aten.mean.dim, (node.args[0], axes, True)
    program.graph_module.recompile()
