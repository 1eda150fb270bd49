"""Every network family of train goes through export in FP16: program and ONNX graph against eager FP32."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from purecert.engine.plans.protocol_buffers import with_output
from purecert.export.fusing.fuse import fuse, graph_inputs
from purecert.export.fusing.precision import to_half
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.karras import KarrasConfig

pytestmark = [pytest.mark.slow, pytest.mark.nightly]  # exports whole networks; CI exports the demo's

_UNETS = {
    "ddpm++": SongUNetConfig(
        img_resolution=8, in_channels=1, out_channels=1, model_channels=8, channel_mult=(1,), num_blocks=1,
        attn_resolutions=(8,),
    ),
    "ncsn++": SongUNetConfig(  # with the other decoder, so that each kind of resampling is there
        img_resolution=8, in_channels=1, out_channels=1, model_channels=8, channel_mult=(1, 1), num_blocks=1,
        attn_resolutions=(4,), embedding_type="fourier", channel_mult_noise=2, encoder_type="residual",
        decoder_type="skip", resample_filter=(1, 3, 3, 1),
    ),
}  # fmt: skip


def _model(unet: str, size: int | None) -> Model:
    torch.manual_seed(11)
    network = SongUNet(_UNETS[unet])
    for weight in network.parameters():  # some layers are born as zeros, which would hide all that follows
        nn.init.normal_(weight, std=0.2)
    preprocessing = PreprocessingConfig(mean=(0.5,), std=(0.25,), size=size, interpolation="bicubic", antialias=True)
    classifier = ResNet(ResNetConfig(classes=10, in_channels=1, blocks=(1,), widths=(8,)))
    return Model(
        purifier=ConsistencyPurifier(KarrasConfig(), network).eval().requires_grad_(False),
        classifier=classifier.eval().requires_grad_(False),
        preprocessing=Preprocessing(preprocessing).eval(),
        input_shape=(1, 8, 8),
        classes=10,
    )


@pytest.mark.parametrize(("unet", "size"), [("ddpm++", None), ("ncsn++", 12)])
def test_a_network_gives_its_logits_in_half_and_in_onnx(unet: str, size: int | None) -> None:
    model = _model(unet, size)
    fused, inputs = fuse(model, 0.25), graph_inputs(model, [0.25], "fp16")
    program = export_program(to_half(fused)[0], inputs)
    generator = np.random.default_rng(0)
    rows = {entry.name: generator.integers(-200, 450, (5, *entry.shape)).astype(np.float16) for entry in inputs}
    tensors = [torch.from_numpy(row) for row in rows.values()]
    exact = fused(*(tensor.float() for tensor in tensors))[1]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    content = with_output(onnx_bytes(program, inputs), "logits")
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for logits in (program.module()(*tensors)[1], torch.from_numpy(session.run(["logits"], rows)[0])):
        assert float((logits - exact).abs().max()) < 0.02 * float(exact.abs().max())
