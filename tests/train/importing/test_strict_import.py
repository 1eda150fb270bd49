"""One weight too few, too many or of another shape makes an import fail, whatever the kind, and is named."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.importing.network_kinds import NETWORK_KINDS
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.plain_denoisers import Dncnn, Ffdnet, PlainDenoiserConfig
from support.checkpoint_files import diffusers_state, edm_tree, write_diffusers, write_edm, write_torch
from support.golden import golden
from support.published_networks import (
    PUBLISHED,
    import_purifier,
    network_fields,
    published_state,
    write_published,
)

pytestmark = pytest.mark.slow  # whole imports, one a changed weight

_PLAIN = PlainDenoiserConfig(width=8, depth=4)
_IMPROVED = "improved_diffusion_unet_A"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """How weights become an imported network."""

    state: Callable[[], dict[str, Tensor]]
    read: Callable[[Path, dict[str, Tensor]], object]
    decisive: tuple[str, ...] = ()  # names of weights whose shape decides that of others
    prefix: str = ""  # that messages leave out


def _published(name: str) -> Case:
    def read(folder: Path, state: dict[str, Tensor]) -> object:
        path = write_published(folder, name, state)
        return import_purifier(PUBLISHED[name].kind, path, network_fields(golden(name)))

    prefix = "model." if PUBLISHED[name].kind == "edm-cifar10" else ""
    return Case(state=lambda: published_state(name), read=read, prefix=prefix)


def _described(kind: str, name: str, **more: Any) -> Case:
    def read(folder: Path, state: dict[str, Tensor]) -> object:
        path = write_torch(folder / "a.pt", state)
        return NETWORK_KINDS[kind].read(path, network_fields(golden(name)) | more)

    state = published_state
    return Case(state=lambda: {key.removeprefix("model."): value for key, value in state(name).items()}, read=read)


def _plain(kind: str, network: Callable[[], torch.nn.Module], *decisive: str) -> Case:
    def read(folder: Path, state: dict[str, Tensor]) -> object:
        return import_purifier(kind, write_torch(folder / "a.pth", state))

    return Case(state=lambda: network().state_dict(), read=read, decisive=decisive)


def _classifier(kind: str, name: str, *decisive: str) -> Case:
    def read(folder: Path, state: dict[str, Tensor]) -> object:
        source = Source(kind=kind, path=write_torch(folder / "a.pth", state))
        return import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source))

    def read_state() -> dict[str, Tensor]:
        state = golden(name).state()  # files before 2018 lack the counters, so that none is missed
        return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}

    return Case(state=read_state, read=read, decisive=decisive)


def _diffusers() -> Case:
    def read(folder: Path, state: dict[str, Tensor]) -> object:
        return NETWORK_KINDS["diffusers"].read(write_diffusers(folder / "unet", state, 4), {})

    return Case(state=lambda: diffusers_state(published_state(_IMPROVED), 4), read=read, decisive=("conv_in.bias",))


_CASES: Mapping[str, Case] = {
    **{PUBLISHED[name].kind: _published(name) for name in PUBLISHED},
    "diffusers": _diffusers(),
    "film-ddpm": _plain("film-ddpm", lambda: FilmUNet(FilmUNetConfig())),
    "ffdnet": _plain("ffdnet", lambda: Ffdnet(_PLAIN), "model.0.weight"),
    "dncnn": _plain("dncnn", lambda: Dncnn(_PLAIN), "model.0.weight"),
    "adm": _described("adm", _IMPROVED, qkv_order="heads-three-dim"),
    "song-unet": _described("song-unet", "edm_ddpmpp_A", in_channels=3, out_channels=3),
    "cifar-resnet": _classifier("cifar-resnet", "cifar_resnet_A", "fc.weight"),
    "wide-resnet block": _classifier("wide-resnet", "wideresnet_block_A", "fc.weight", "block1.layer.0.conv1.weight"),
    "wide-resnet layer": _classifier("wide-resnet", "wideresnet_layer_A", "linear.weight", "layer1.0.conv1.weight"),
}


def _sample(state: Mapping[str, Tensor]) -> list[str]:
    """Return the first weight, one from the middle, and the last."""
    names = list(state)
    return [names[0], names[len(names) // 2], names[-1]]


@pytest.mark.shared
def test_no_kind_is_left_out() -> None:
    assert set(NETWORK_KINDS) == set(_CASES) & set(NETWORK_KINDS)


@pytest.mark.shared
@pytest.mark.parametrize("kind", _CASES)
def test_a_missing_weight_is_named(tmp_path: Path, kind: str) -> None:
    case = _CASES[kind]
    state = case.state()
    for name in _sample(state):
        rest = {key: value for key, value in state.items() if key != name}
        with pytest.raises(InputError, match=rf"{re.escape(name.removeprefix(case.prefix))}' is missing"):
            case.read(tmp_path, rest)


@pytest.mark.nightly  # one that is missing and one too many, which CI tries apart
@pytest.mark.shared
@pytest.mark.parametrize("kind", _CASES)
def test_a_renamed_weight_is_named(tmp_path: Path, kind: str) -> None:
    case = _CASES[kind]
    state = case.state()
    for name in _sample(state):
        changed = {f"{key}_old" if key == name else key: value for key, value in state.items()}
        with pytest.raises(InputError, match=rf"{re.escape(name.removeprefix(case.prefix))}' is missing"):
            case.read(tmp_path, changed)


@pytest.mark.shared
@pytest.mark.parametrize("kind", _CASES)
def test_a_weight_too_many_is_named(tmp_path: Path, kind: str) -> None:
    case = _CASES[kind]
    state = case.state()
    name = next(iter(state))
    more = state | {f"{name}_twin": state[name].clone()}
    with pytest.raises(InputError, match=rf"{re.escape(name.removeprefix(case.prefix))}_twin"):
        case.read(tmp_path, more)


@pytest.mark.shared
@pytest.mark.parametrize("kind", _CASES)
def test_a_misshapen_weight_is_named(tmp_path: Path, kind: str) -> None:
    case = _CASES[kind]
    state = case.state()
    for name in [name for name in _sample(state) if name not in case.decisive]:
        changed = state | {name: torch.cat([state[name], state[name]])}
        expected = rf"{re.escape(name.removeprefix(case.prefix))}': expected shape \[.*\], found \["
        with pytest.raises(InputError, match=expected):
            case.read(tmp_path, changed)


@pytest.mark.shared
@pytest.mark.parametrize("kind", [kind for kind in _CASES if _CASES[kind].decisive])
def test_a_misshapen_weight_that_decides_other_shapes_is_refused(tmp_path: Path, kind: str) -> None:
    case = _CASES[kind]
    state = case.state()
    for name in case.decisive:
        changed = state | {name: torch.cat([state[name], state[name]])}
        with pytest.raises(InputError, match=r"expected shape|is missing|multiples of"):
            case.read(tmp_path, changed)


@pytest.mark.shared
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, value: float) -> None:
    case = _CASES["ffdnet"]
    state = case.state()
    state["model.2.bias"] = torch.full_like(state["model.2.bias"], value)
    with pytest.raises(InputError, match=r"weight 'model\.2\.bias' holds values that are not finite"):
        case.read(tmp_path, state)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "expected a table of weights"),
        ([torch.zeros(1)], "expected a table of weights, found list"),
        ({"weight": torch.zeros(1), "epoch": 3}, "found another entry, epoch"),
        ({"weight": torch.zeros(1), 3: torch.zeros(1)}, "found another entry, 3"),
        ({"weight": torch.zeros(1), "two\nlines": 3}, r"found another entry, two\\nlines"),
        ({"state_dict": {}}, "expected a table of weights"),
        ({"state_dict": {4: torch.zeros(1)}}, "found another entry, 4"),
        ({"weight": torch.zeros(1)}, "'model.0.weight' is missing"),
        (
            {"a.weight": torch.zeros(0, 13, 3, 3), "b.weight": torch.zeros(12, 0, 3, 3)},
            "need positive channels and width",
        ),
    ],
)
def test_a_file_that_is_no_table_of_weights_is_refused_in_one_line(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        import_purifier("ffdnet", write_torch(tmp_path / "a.pth", content))
    assert "\n" not in str(caught.value)


@pytest.mark.shared
def test_counters_of_batches_are_supplied_only_where_a_file_has_none(tmp_path: Path) -> None:
    state = golden("cifar_resnet_A").state()
    counters = [key for key in state if key.endswith("num_batches_tracked")]
    source = Source(kind="identity", path=None)

    def read(weights: Mapping[str, Tensor]) -> object:
        path = write_torch(tmp_path / "a.pth", dict(weights))
        return import_model(ImportSpec(purifier=source, classifier=Source(kind="cifar-resnet", path=path)))

    assert read({key: value for key, value in state.items() if key not in counters})
    with pytest.raises(InputError, match=f"weight {re.escape(repr(counters[3]))} is missing"):
        read({key: value for key, value in state.items() if key != counters[3]})


@pytest.mark.shared
@pytest.mark.parametrize(
    ("wrapper", "recorded", "words"),
    [
        ("VPPrecond", {}, "expected a network in EDMPrecond, found one in 'VPPrecond'"),
        ("VEPrecond", {}, "expected a network in EDMPrecond, found one in 'VEPrecond'"),
        ("EDMPrecond", {"sigma_data": 0.9}, "expected sigma_data 0.5, found 0.9"),
        ("EDMPrecond", {"resample_filter": [1, 3, 3, 1]}, r"expected resample_filter \[1, 1\], found \[1, 3, 3, 1\]"),
        ("EDMPrecond", {"img_resolution": 16, "resample_filter": [1, 1], "use_fp16": False}, ""),
    ],
)
def test_an_edm_pickle_must_be_what_it_says_it_is(
    tmp_path: Path, wrapper: str, recorded: dict[str, Any], words: str
) -> None:
    tree = edm_tree(published_state("edm_ddpmpp_A"), **recorded)
    tree.class_name = wrapper
    path = write_edm(tmp_path / "a.pkl", {"ema": tree})
    read, fields = NETWORK_KINDS["edm-cifar10"].read, network_fields(golden("edm_ddpmpp_A"))
    if not words:
        assert read(path, fields)
        return
    with pytest.raises(InputError, match=words):
        read(path, fields)
