"""Network pickles of NVlabs/edm come back bit for bit, and none of the code in them runs.

The pickles are made here in that very format, from modules without code of their own.
"""

import math
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.readers.edm_files import EdmNetwork, read_edm
from support.checkpoint_files import EasyDict, EdmModule, EdmObject, edm_tree, write_edm
from support.golden import Golden, golden, shared


@pytest.fixture
def network() -> EdmModule:
    state = {"model.enc.4x4_conv.weight": torch.arange(4.0).reshape(2, 2), "model.map_noise.freqs": torch.ones(3)}
    return edm_tree(state, img_resolution=4, channel_mult=[1, 2], model_type="SongUNet")


def _golden_file(name: str, path: Path, protocol: int = 4) -> Golden:
    values = golden(name)
    kwargs = {key: values.config[key] for key in ("img_resolution", "channel_mult", "embedding_type")}
    tree = edm_tree(values.state(), sigma_max=math.inf, **kwargs)
    extras = {"loss_fn": EdmModule("EDMLoss", P_mean=-1.2), "augment_pipe": None, "dataset_kwargs": EasyDict(size=3)}
    write_edm(path, {"ema": tree, **extras}, protocol)
    return values


@pytest.mark.shared
@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("name", ["edm_ddpmpp_A", "edm_ncsnpp_A"])
def test_weights_come_back_bit_for_bit_under_the_published_keys(tmp_path: Path, name: str, protocol: int) -> None:
    expected = _golden_file(name, tmp_path / "a.pkl", protocol).state()
    read = read_edm(tmp_path / "a.pkl")
    assert set(read.tensors) == set(expected)
    for key, value in expected.items():
        assert torch.equal(read.tensors[key], value)
    assert all(type(value) is Tensor for value in read.tensors.values())


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["ve", "vp"])
def test_keys_have_the_published_order(tmp_path: Path, kind: str) -> None:
    rows = shared(f"research/checkpoint-keys/edm_cifar10_32x32_uncond_{kind}.txt").read_text().splitlines()[1:]
    keys = [row.split("\t")[0] for row in rows]
    write_edm(tmp_path / "a.pkl", {"ema": edm_tree(dict.fromkeys(keys, torch.zeros(1)))})
    assert list(read_edm(tmp_path / "a.pkl").tensors) == keys


@pytest.mark.shared
@pytest.mark.parametrize("name", ["edm_ddpmpp_A", "edm_ncsnpp_A"])
def test_a_file_gives_the_published_outputs(tmp_path: Path, name: str) -> None:
    values = _golden_file(name, tmp_path / "a.pkl")
    fields = SongUNetConfig.__dataclass_fields__
    chosen = {key: tuple(v) if isinstance(v, list) else v for key, v in values.config.items() if key in fields}
    network = SongUNet(SongUNetConfig(in_channels=3, out_channels=3, **chosen)).eval()
    tensors = read_edm(tmp_path / "a.pkl").tensors
    network.load_state_dict({key.removeprefix("model."): value for key, value in tensors.items()}, strict=True)
    for x, t, expected in zip(*(values.arrays[key] for key in ("net_in", "net_t", "net_out")), strict=True):
        torch.testing.assert_close(network(x, t), expected, atol=2e-5, rtol=1e-5)


def test_the_arguments_come_back(network: EdmModule, tmp_path: Path) -> None:
    network._init_kwargs |= {"sigma_max": math.inf, "dropout": np.float64(0.13), "nested": EasyDict(a=[1, None])}
    network._init_args = (4, "x", np.int64(7), np.bool_(True))
    read = read_edm(write_edm(tmp_path / "a.pkl", {"ema": network}))
    wrapper, inner = read.arguments[""], read.arguments["model"]
    assert (wrapper.class_name, inner.class_name) == ("EDMPrecond", "SongUNet")
    assert wrapper.positional == (4, "x", 7, True)
    shape = {"img_resolution": 4, "channel_mult": [1, 2], "model_type": "SongUNet"}
    assert wrapper.keyword == shape | {"sigma_max": math.inf, "dropout": 0.13, "nested": {"a": [1, None]}}
    assert inner.keyword == shape


def test_arguments_that_were_not_recorded_are_left_out(network: EdmModule, tmp_path: Path) -> None:
    network._init_kwargs = None  # type: ignore[assignment]
    assert list(read_edm(write_edm(tmp_path / "a.pkl", {"ema": network})).arguments) == ["model"]


def test_buffers_that_pass_and_absent_parameters_have_no_key(network: EdmModule, tmp_path: Path) -> None:
    network.register_buffer("passing", torch.zeros(1), persistent=False)
    network.register_parameter("absent", None)
    keys = set(read_edm(write_edm(tmp_path / "a.pkl", {"ema": network})).tensors)
    assert keys == {"model.enc.4x4_conv.weight", "model.map_noise.freqs"}


def test_the_source_in_a_file_is_not_run(network: EdmModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(read_edm(write_edm(tmp_path / "a.pkl", {"ema": network})), EdmNetwork)
    assert not (tmp_path / "marker").exists()


def test_other_layers_of_torch_are_refused_by_name(network: EdmModule, tmp_path: Path) -> None:
    network._modules["more"] = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"holds torch\.nn\.modules\.linear\.Linear"):
        read_edm(write_edm(tmp_path / "a.pkl", {"ema": network}))


def _module(**state: Any) -> Any:
    return EdmObject(state={"_parameters": {}, "_buffers": {}, "_modules": {}} | state)


def _doubling(depth: int) -> list[Any]:
    nest: list[Any] = []
    for _ in range(depth):
        nest = [nest, nest]
    return nest


_SHARED_MODULE = _module()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"net": _module()}, "no module under 'ema'"),
        ({"ema": {"weight": torch.zeros(1)}}, "no module under 'ema'"),
        ([1], "no module under 'ema'"),
        ({"ema": EdmObject(version=5)}, "expected version 6 of the persistence format, found 5"),
        ({"ema": EdmObject(version=_doubling(60))}, "expected version 6 of the persistence format, found list"),
        ({"ema": EdmObject(type="function")}, "not described as a class"),
        ({"ema": EdmObject(state=[1])}, "no class name or no state"),
        ({"ema": EdmObject(class_name=3)}, "no class name or no state"),
        ({"ema": EdmObject(state={})}, "a A has no _modules"),
        ({"ema": _module(_modules={1: None})}, "a A has no _modules"),
        ({"ema": _module(_modules={"a": 3})}, "a is no module"),
        ({"ema": _module(_parameters={"w": [1.0]})}, "w of a A is no tensor"),
        ({"ema": _module(_modules={"a": _SHARED_MODULE, "b": _SHARED_MODULE})}, "twice"),
        ({"ema": _module(_non_persistent_buffers_set=3)}, "lists no buffers"),
        ({"ema": _module(_init_kwargs={"a": torch.zeros(1)})}, "more than plain values"),
        ({"ema": _module(_init_kwargs={"a": _doubling(60)})}, "more than plain values"),
        ({"ema": _module(_init_kwargs={}, _init_args=[1])}, "more than plain values"),
        ({"ema": _module(), "x": np.zeros(3)}, r"holds numpy\._core\.(multiarray\._reconstruct|numeric\._frombuffer)"),
        ({"ema": _module(), "x": np.complex64(1)}, "numpy scalar of another kind"),
    ],
)
def test_content_that_does_not_fit_is_refused(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_edm(write_edm(tmp_path / "a.pkl", content))


class _Reduced:
    """Pickles as a call of one function with given arguments, followed by a state."""

    def __init__(self, *reduction: Any) -> None:
        self.reduction = reduction

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduction


_TENSOR = torch._utils._rebuild_tensor_v2  # type: ignore[attr-defined]
_STORAGE = torch.storage._load_from_bytes  # type: ignore[attr-defined]


def _storage(elements: int = 4) -> Any:
    storage = torch.zeros(elements).reshape(-1).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (_Reduced(_TENSOR, (_storage(), 0, (2**40,), (1,), False, None)), "claims 1099511627776 elements of .* of 4"),
        (_Reduced(_TENSOR, (_storage(), 0, (2**40,), (0,), False, None)), "claims 1099511627776 elements of .* of 4"),
        (_Reduced(_TENSOR, (_storage(), 1, (4,), (1,), False, None)), "claims 5 elements of a storage of 4"),
        (_Reduced(_TENSOR, (_storage(), -1, (4,), (1,), False, None)), "tensor is not described"),
        (_Reduced(_TENSOR, (3, 0, (4,), (1,), False, None)), "a tensor has no storage"),
        (_Reduced(_STORAGE, (b"no storage",)), "storage is not written as torch.save does"),
        (_Reduced(_STORAGE, (3,)), "storage is not written as torch.save does"),
        (_Reduced(_TENSOR, (_storage(), 0, (4,), (1,), False, None), {"data": 3}), "damaged"),
        (_Reduced(_STORAGE, (pickle.dumps(3),), [1]), "damaged|storage is not written"),
        (_Reduced(EasyDict, (), {"a": 1}), "damaged"),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_edm(write_edm(tmp_path / "a.pkl", {"ema": _module(_parameters={"w": value})}))


def test_a_storage_read_over_and_over_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(_storage(1000))
    data = next(argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, bytes))
    reads = [_Reduced(_STORAGE, (data,)) for _ in range(100)]  # the pickle holds the bytes once
    with pytest.raises(InputError, match="more storages than a network has"):
        read_edm(write_edm(tmp_path / "a.pkl", {"ema": _module(), "reads": reads}))


@pytest.mark.slow
def test_flipped_bits_raise_one_line_or_nothing(network: EdmModule, tmp_path: Path) -> None:
    path = write_edm(tmp_path / "a.pkl", {"ema": network})
    data = path.read_bytes()
    refused = 0
    for position in range(0, len(data), 5):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 7
        path.write_bytes(changed)
        try:
            read_edm(path)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > len(data) // 20
