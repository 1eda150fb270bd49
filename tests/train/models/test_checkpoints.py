"""Model files come back as they were written, and whatever does not fit exactly is refused in one line."""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.models.checkpoints import Model, load_model, save_model
from purecert.train.networks.song.unet import SongUNet
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import MultistepConfig, MultistepPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier

Content = dict[str, Any]


@pytest.fixture
def path(small_model: Model, tmp_path: Path) -> Path:
    save_model(small_model, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def _purifiers(network: SongUNet) -> list[Purifier]:
    return [IdentityPurifier(IdentityConfig()), MultistepPurifier(MultistepConfig(second_ratio=0.3), network)]


def test_a_model_survives_the_round_trip(small_model: Model, path: Path) -> None:
    loaded = load_model(path)
    x = torch.randn(4, 1, 8, 8)
    clean = small_model.purifier(x, 0.5)
    torch.testing.assert_close(loaded.purifier(x, 0.5), clean, rtol=0, atol=0)
    logits = small_model.classifier(small_model.preprocessing(clean))
    torch.testing.assert_close(loaded.classifier(loaded.preprocessing(clean)), logits, rtol=0, atol=0)
    for name in ("input_shape", "classes", "class_names", "data", "sources", "licence"):
        assert getattr(loaded, name) == getattr(small_model, name)


def test_other_purifiers_survive_the_round_trip(small_model: Model, small_network: SongUNet, tmp_path: Path) -> None:
    for index, purifier in enumerate(_purifiers(small_network)):
        file = tmp_path / f"{index}.pt"
        save_model(replace(small_model, purifier=purifier), file)
        loaded = load_model(file).purifier
        assert type(loaded) is type(purifier)
        x = torch.randn(2, 1, 8, 8)
        noises = [torch.randn(2, k, 1, 8, 8) for k in purifier.noise_inputs(0.5)]
        torch.testing.assert_close(loaded(x, 0.5, noises), purifier.eval()(x, 0.5, noises), rtol=0, atol=0)


def test_loaded_modules_are_for_inference(path: Path) -> None:
    model = load_model(path)
    for module in (model.purifier, model.classifier, model.preprocessing):
        assert not any(part.training for part in module.modules())
        assert not any(p.requires_grad or p.is_meta for p in [*module.parameters(), *module.buffers()])


def test_the_digest_is_that_of_the_file(path: Path) -> None:
    assert load_model(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_model_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    save_model(load_model(path), tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()


def test_a_model_without_a_crop_says_nothing_of_crops(path: Path) -> None:
    """Versions that know no crop read it."""
    assert "crop" not in torch.load(path, weights_only=True)["preprocessing"]["config"]


def test_loading_leaves_the_random_generator_alone(path: Path) -> None:
    before = torch.random.get_rng_state()
    load_model(path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_file_is_replaced_only_by_force(small_model: Model, path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.pt: exists already.*--force"):
        save_model(small_model, path)
    save_model(replace(small_model, licence="other"), path, force=True)
    assert load_model(path).licence == "other"
    assert list(path.parent.iterdir()) == [path]


def test_weights_that_are_not_finite_are_not_written(small_model: Model, tmp_path: Path) -> None:
    next(small_model.classifier.parameters()).data[0] = torch.inf
    with pytest.raises(InputError, match="not finite"):
        save_model(small_model, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_a_text_that_could_not_be_read_again_is_not_written(small_model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="licence: expected printable text on one line"):
        save_model(replace(small_model, licence="Apache-2.0\nand more"), tmp_path / "other.pt")
    assert not (tmp_path / "other.pt").exists()


def test_a_missing_folder_is_named(small_model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder that exists"):
        save_model(small_model, tmp_path / "nowhere" / "model.pt")


def _set(*keys: str, to: object) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


def _drop(*keys: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("schema", to="purecert.model/9"), r"expected a model of schema purecert\.model/1, found purecert"),
        (_drop("schema"), "a file without schema"),
        (_drop("licence"), r"missing fields \['licence'\]"),
        (_drop("classifier"), "key 'classifier' is missing"),
        (_set("colour", to=1), r"unknown fields \['colour'\]"),
        (_set("input_shape", to=[8, 8]), "input_shape: expected 3 values"),
        (_set("input_shape", to=[1, 7, 7]), r"images of \[1, 7, 7\] do not pass"),
        (_set("classes", to=4), "class_names for 4 classes"),
        (_set("sources", to="me"), "sources: expected a list"),
        (_set("purifier", to=[1]), "purifier: expected a mapping"),
        (_set("purifier", "kind", to="magic"), "unknown kind 'magic'; this version knows identity, consistency"),
        (_set("purifier", "kind", to=["consistency"]), "unknown kind"),
        (_set("purifier", "notes", to=""), "purifier: unknown key 'notes'"),
        (_set("purifier", "config", "gamma", to=1), r"purifier.config: unknown fields \['gamma'\]"),
        (_drop("purifier", "config", "network"), "key 'network' is missing"),
        (_set("purifier", "config", "network", "kind", to="unet"), "unknown kind 'unet'; this version knows song_unet"),
        (_set("purifier", "config", "network", "config", "out_channels", to=2), "must keep an image's shape"),
        (_set("purifier", "config", "network", "config", "in_channels", to=2**62), "of which a network can be built"),
        (_set("purifier", "config", "network", "config", "num_blocks", to=10**9), "at most 32 blocks"),
        (_set("classifier", "config", "classes", to=5), "expected 3 logits, the classifier gives .5"),
        (_set("classifier", "state", to=None), "state: expected a mapping"),
        (_drop("classifier", "state", "conv1.weight"), r"weight 'conv1\.weight' is missing \(1 in all\)"),
        (_set("classifier", "state", "conv9.weight", to=torch.zeros(1)), r"unknown weight 'conv9\.weight'"),
        (_set("classifier", "state", "conv1.weight", to=[0.0]), "expected a tensor, found list"),
        (_set("classifier", "state", "conv1.weight", to=torch.zeros(2)), r"expected shape \[4, 1, 3, 3\], found \[2\]"),
        (_set("classifier", "state", "bn1.bias", to=torch.zeros(4, dtype=torch.int64)), "float32, found torch.int64"),
        (_set("classifier", "state", "bn1.bias", to=torch.full((4,), torch.nan)), "'bn1.bias' holds .* not finite"),
        (_set("preprocessing", "config", "std", to=[0.0]), "std > 0"),
        (_set("preprocessing", "config", "mean", to=torch.zeros(9, 9)), "mean: expected a list, found tensor"),
        (_set("preprocessing", "kind", to="smart"), "unknown kind 'smart'"),
    ],
)
def test_content_that_does_not_fit_is_named(path: Path, change: Callable[[Content], None], words: str) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(InputError, match=words) as caught:
        load_model(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_choices_survive_and_files_without_any_stay_as_they_were(small_model: Model, path: Path) -> None:
    assert "choices" not in torch.load(path, weights_only=True)
    chosen = ("time rule: exact (given)", "class label: 1/10 each")
    save_model(replace(small_model, choices=chosen), path, force=True)
    assert load_model(path).choices == chosen


def test_class_names_may_be_left_out(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    del content["class_names"]
    torch.save(content, path)
    assert load_model(path).class_names == ()


def test_half_precision_weights_become_float(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    state = content["classifier"]["state"]
    state["linear.bias"] = torch.tensor([0.5, 1.0, -1.0], dtype=torch.float16)
    torch.save(content, path)
    assert load_model(path).classifier.state_dict()["linear.bias"].dtype == torch.float32


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer.*git lfs pull"),
        (b"hello, I am text\n", "not a model file"),
        (b"", "not a model file"),
        (pickle.dumps({"schema": "purecert.model/1"}), "not a model file"),
        (b"PK\x03\x04 no archive after all", "damaged or cut short"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(InputError, match=words):
        load_model(tmp_path / "model.pt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="damaged or cut short"):
        load_model(path)


def test_a_flipped_bit_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        load_model(path)


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"schema": "purecert.model/1", "purifier": _Harmful()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="more than plain types and tensors"):
        load_model(tmp_path / "model.pt")
    assert not (tmp_path / "harm").exists()


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.pt: cannot be read"):
        load_model(tmp_path / "no.pt")
    with pytest.raises(InputError, match="cannot be read"):
        load_model(tmp_path)
