"""What a user chooses at an import ends up in the model file, and what is not chosen is as published."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.importing.assemble import Source
from purecert.train.models.checkpoints import load_model
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from support.checkpoint_files import write_json, write_safetensors
from support.golden import golden, table
from support.published_networks import PUBLISHED, import_published, import_purifier, network_fields, write_published
from support.vit_files import small_vit, write_vit

Run = Callable[..., tuple[int, str, str]]

_FFDNET = "--purifier ffdnet=ffdnet.pt --classifier cifar-resnet=classifier.pth -o new.pt"

_NIGHTLY = (pytest.mark.slow, pytest.mark.nightly)
_RULES = {  # as tables/timesteps.csv calls them, and the column that holds the time
    "nearest-2sigma": ("jcm_ncsnpp_A", "grid_18_nearest_to_2sigma", "sigma_on_minus1_1"),
    "nearest-sigma": ("jcm_ncsnpp_A", "grid_18_nearest_to_sigma", "sigma_on_minus1_1"),
    "first-above": ("improved_diffusion_unet_A", "dds_loop_cosine_4000", "t_or_index"),
    "closed-form": ("improved_diffusion_unet_A", "densepure_closed_cosine_4000", "t_or_index"),
}
_PRINTED_SIGMAS = (0.25, 0.5, 1.0)


def _times(folder: Path, run: Run, name: str, *choices: str) -> dict[float, float]:
    """Return the times of an imported model at the sigmas of the table."""
    write_json(folder / "network.json", {"network": network_fields(golden(name))})
    path = write_published(folder, name)
    arguments = ["--purifier", f"{PUBLISHED[name].kind}={path}", "--purifier-config", "network.json"]
    code, _, err = run(*arguments, "--classifier", "cifar-resnet=classifier.pth", "-o", "new.pt", "--force", *choices)
    assert code == 0, err
    purifier = load_model(folder / "new.pt").purifier
    return {sigma: purifier.timestep(sigma) for sigma in (0.05, 0.12, 0.15, 0.25, 0.5, 0.75, 1.0)}


@pytest.mark.shared
@pytest.mark.parametrize("rule", _RULES)
def test_a_time_rule_ends_up_in_the_model(folder: Path, run: Run, rule: str) -> None:
    name, row_name, column = _RULES[rule]
    expected = {float(row["sigma"]): float(row[column]) for row in table("timesteps") if row["rule"] == row_name}
    assert _times(folder, run, name, "--time-rule", rule) == pytest.approx(expected, rel=1e-12)


@pytest.mark.shared
def test_the_exact_time_rule_is_the_noise_itself(folder: Path, run: Run) -> None:
    times = _times(folder, run, "jcm_ncsnpp_A", "--time-rule", "exact")
    assert times == {sigma: 2 * sigma for sigma in times}
    averaged = "the averaged ones under params_ema, not the plain ones under params"
    assert f"weights of jcm_ncsnpp_A: {averaged}" in load_model(folder / "new.pt").choices


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rule"), [("jcm_ncsnpp_A", "nearest-2sigma"), ("improved_diffusion_unet_A", "first-above")]
)
def test_the_time_rule_is_the_published_one_unless_chosen(folder: Path, run: Run, name: str, rule: str) -> None:
    assert _times(folder, run, name) == _times(folder, run, name, "--time-rule", rule)


@pytest.mark.shared
@pytest.mark.parametrize("rule", ["exact", *(pytest.param(rule, marks=_NIGHTLY) for rule in _RULES)])
def test_help_prints_the_times_that_the_model_takes(folder: Path, run: Run, rule: str) -> None:
    text = " ".join(run("--help")[1].split())
    printed = re.search(rf" {rule} ([\d.]+), ([\d.]+), ([\d.]+) ", text)
    assert printed is not None
    times = _times(folder, run, _RULES.get(rule, ("jcm_ncsnpp_A",))[0], "--time-rule", rule)
    values = [float(value) for value in printed.groups()]
    assert values == pytest.approx([times[sigma] for sigma in _PRINTED_SIGMAS], abs=5.1e-5)


@pytest.mark.parametrize("kind", ["exact", "fast"])
def test_the_preprocessing_ends_up_in_the_model(folder: Path, run: Run, kind: str) -> None:
    assert run(*_FFDNET.split(), "--preprocessing", kind)[0] == 0
    image = torch.full((1, 3, 2, 2), 100.7 / 127.5 - 1)  # between two grey levels
    level = 100 if kind == "exact" else 100.7
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = ((level / 255 - mean) / std).expand(1, 3, 2, 2)
    torch.testing.assert_close(load_model(folder / "new.pt").preprocessing(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_the_resize_ends_up_in_the_model(folder: Path, run: Run, resize: str) -> None:
    write_vit(folder / "vit", small_vit().state_dict())
    arguments = f"--purifier ffdnet=ffdnet.pt --classifier hf-vit=vit -o new.pt --image-size 32 --resize {resize}"
    assert run(*arguments.split())[0] == 0
    image = torch.rand(1, 3, 32, 32)
    expected = torch.nn.functional.interpolate(image, (20, 20), mode=resize, antialias=resize == "bicubic")
    found = load_model(folder / "new.pt").preprocessing(image)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_clip_ends_up_in_the_model(folder: Path, run: Run) -> None:
    image = torch.full((1, 3, 32, 32), 40.0)
    assert run(*_FFDNET.split(), "--clip")[0] == 0
    clipped = load_model(folder / "new.pt").purifier(image, 0.5)
    assert run(*_FFDNET.split(), "--no-clip", "--force")[0] == 0
    free = load_model(folder / "new.pt").purifier(image, 0.5)
    assert free.abs().max() > 1
    torch.testing.assert_close(clipped, free.clamp(-1, 1))


@pytest.mark.shared
def test_a_field_inside_a_field_leaves_the_others_as_published(tmp_path: Path) -> None:
    changes = {"model": {"clip": True, "levels": {"t_max": 40.0}}, "steps": 3}
    model = import_published(tmp_path, "cm_unet_uncond_A", family="ode", changes=changes, time_rule="nearest-sigma")
    config: Any = model.purifier.config
    assert (config.steps, config.model.clip, config.model.levels.t_max) == (3, True, 40.0)
    assert (config.model.label_scale, config.model.grid_points, config.model.levels.t_min) == (1000.0, 40, 0.002)
    assert config.model.time_rule == "nearest-sigma"


@pytest.mark.shared
def test_a_field_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="purifier: model: expected an object, found int"):
        import_published(tmp_path, "cm_unet_uncond_A", family="ode", changes={"model": 3})
    with pytest.raises(InputError, match="purifier: clip: expected a value of type bool, found"):
        import_published(tmp_path, "cm_unet_uncond_A", changes={"clip": {}})
    with pytest.raises(InputError, match="sigma_data: expected a finite number, found nan"):
        import_published(tmp_path, "cm_unet_uncond_A", changes={"sigma_data": float("nan")})


@pytest.mark.shared
@pytest.mark.parametrize("steps", [None, 1, 4])
def test_the_steps_of_the_ode_end_up_in_the_model(tmp_path: Path, steps: int | None) -> None:
    model = import_published(tmp_path, "edm_ncsnpp_A", family="ode", steps=steps, time_rule="exact")
    assert "weights of edm_ncsnpp_A.pkl: the averaged ones under ema" in model.choices
    purifier: Any = model.purifier
    # Without a number, all of the 18 points below the first time, of which there are seven below 1.
    assert len(purifier.config.times(1.0)) == (1 + 7 if steps is None else steps)


_SONG_OF_CLASSES: dict[str, Any] = {
    "img_resolution": 8,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 8,
    "num_blocks": 1,
    "label_dim": 10,
    "channel_mult": (1,),
    "attn_resolutions": (),
}


@pytest.mark.parametrize("kind", ["song-unet", "edm-cifar10"])
def test_a_network_of_classes_gets_the_label_of_every_class_alike(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    network = SongUNet(SongUNetConfig(**_SONG_OF_CLASSES)).eval().requires_grad_(False)
    for weights in network.parameters():  # some layers are born at almost zero
        weights.add_(0.1 * torch.randn_like(weights))
    path = write_safetensors(tmp_path / "a.safetensors", network.state_dict())
    # The published kind knows the number of classes by the weights.
    fields = _SONG_OF_CLASSES | {"augment_dim": 0}
    shown = {name: value for name, value in fields.items() if name != "label_dim" or kind == "song-unet"}
    model = import_purifier(kind, path, shown)
    x, noise = torch.randn(3, 3, 8, 8), torch.tensor([-1.0])
    unconditional: Any = model.purifier.get_submodule("network")
    assert "class label: 1/10 each" in model.choices
    assert not any(key.startswith("map_label") for key in unconditional.state_dict())
    torch.testing.assert_close(
        unconditional(x, noise), network(x, noise, torch.full((3, 10), 0.1)), atol=1e-5, rtol=1e-5
    )
    # The mean of what the classes' one-hot labels give in front of the first layer that is no affine map of them.
    seen: list[torch.Tensor] = []
    assert network.map_layer0 is not None
    network.map_layer0.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network.embed(noise, torch.eye(10), None)
    expected = seen[0].double().mean(dim=0, keepdim=True).float()
    found = unconditional.map_layer0(unconditional.map_noise(noise))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    # Neither a label of zeros nor one class is what it computes.
    for label in (torch.zeros(3, 10), torch.eye(10)[:3]):
        assert (unconditional(x, noise) - network(x, noise, label)).abs().max() > 1e-3


@pytest.mark.parametrize(("kind", "path"), [("ffdnet", None), ("identity", Path("a.pt"))])
def test_only_the_identity_has_no_file(kind: str, path: Path | None) -> None:
    with pytest.raises(ValueError, match="every kind but identity needs a path"):
        Source(kind=kind, path=path)


def test_a_normalisation_of_ones_own_ends_up_in_the_model(folder: Path, run: Run) -> None:
    code, _, err = run(*_FFDNET.split(), "--mean", "0.1,0.2,0.3", "--std", "1,2,4")
    assert code == 0, err
    preprocessing = load_model(folder / "new.pt").preprocessing
    clean = torch.ones(1, 3, 1, 1)  # white: 1 on the [0, 1] scale too
    assert preprocessing(clean).flatten().tolist() == pytest.approx([0.9, 0.4, 0.175])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (("--mean", "grey"), "--mean as numbers"),
        (("--std", "1,2"), "one value per channel"),
        (("--std", "0,1,1"), "std > 0"),
    ],
)
def test_an_impossible_normalisation_is_refused(folder: Path, run: Run, choice: tuple[str, str], words: str) -> None:
    code, out, err = run(*_FFDNET.split(), *choice)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(words, err)
    assert not (folder / "new.pt").exists()


@pytest.mark.parametrize(
    ("choices", "size"),
    [((), None), (("--image-size", "48"), 32), (("--image-size", "48", "--classifier-size", "48"), None)],
)
def test_a_classifier_sees_images_of_the_size_it_was_trained_on(
    folder: Path, run: Run, choices: tuple[str, ...], size: int | None
) -> None:
    code, _, err = run(*_FFDNET.split(), *choices)
    assert code == 0, err
    preprocessing = load_model(folder / "new.pt").preprocessing
    assert preprocessing.config.size == size
