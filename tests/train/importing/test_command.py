"""engine-import writes one model file, or says in one line why not and writes nothing."""

import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from purecert.train.importing.classifier_kinds import CLASSIFIER_KINDS
from purecert.train.importing.network_kinds import NETWORK_KINDS
from purecert.train.models.checkpoints import load_model
from support.commands import engine

Run = Callable[..., tuple[int, str, str]]

_RESNET = "--classifier cifar-resnet=classifier.pth"
_NEW = "-o new.pt"
_FFDNET = f"--purifier ffdnet=ffdnet.pt {_RESNET} {_NEW}"
_FILM = f"--purifier film-ddpm=film.pt --purifier-config film.json {_RESNET} {_NEW}"
_SONG_UNET = f"--purifier song-unet=song.pt --purifier-config song.json {_RESNET} {_NEW}"


_REFUSALS = [
    # what there is to import
    (f"--purifier edm=ffdnet.pt {_RESNET} {_NEW}", "expected a purifier kind out of consistency-cifar10, .*'edm'"),
    (f"--purifier ffdnet=ffdnet.pt --classifier vgg=x.pt {_NEW}", "expected a classifier kind out of .*'vgg'"),
    (f"--purifier ffdnet {_RESNET} {_NEW}", "expected KIND=PATH, got 'ffdnet'; .*--list"),
    (f"--purifier ffdnet= {_RESNET} {_NEW}", "expected KIND=PATH, got 'ffdnet='"),
    (f"--purifier =ffdnet.pt {_RESNET} {_NEW}", "expected a purifier kind out of .*got ''"),
    (f"--purifier ffdnet=ffdnet.pt --classifier cifar-resnet {_NEW}", "expected KIND=PATH, got 'cifar-resnet'"),
    (f"--purifier identity=ffdnet.pt {_RESNET} {_NEW}", "expected identity alone, since it has no file"),
    (f"--purifier ffdnet=ffdnet.pt --classifier identity {_NEW}", "expected a classifier kind out of"),
    (f"--purifier identity --classifier cifar-resnet:20=classifier.pth {_NEW}", "got the name '20' after the kind"),
    (f"--purifier identity --classifier timm=classifier.pth {_NEW}", "expected timm:NAME=FILE"),
    (f"{_RESNET} {_NEW}", "Missing option '--purifier'"),
    (f"--purifier identity {_RESNET}", "Missing option '-o'"),
    # files
    (f"--purifier ffdnet=absent.pt {_RESNET} {_NEW}", "absent.pt: cannot be read"),
    (f"--purifier ffdnet=. {_RESNET} {_NEW}", "cannot be read .expected a file"),
    (f"--purifier diffusers=absent {_RESNET} {_NEW}", r"absent/config\.json: cannot be read"),
    (f"--purifier ffdnet=ffdnet.pt --classifier cifar-resnet=absent.pth {_NEW}", "absent.pth: cannot be read"),
    (f"--purifier ffdnet=hostile.pt {_RESNET} {_NEW}", "holds posix.system, which is more than plain types"),
    (f"--purifier edm-cifar10=hostile.pkl {_RESNET} {_NEW}", "holds posix.system"),
    (f"--purifier identity --classifier wide-resnet=hostile.pt {_NEW}", "holds posix.system"),
    (f"--purifier dncnn=film.pt {_RESNET} {_NEW}", "film.pt: weight 'model.0.weight' is missing"),
    (f"--purifier identity --classifier wide-resnet=ffdnet.pt {_NEW}", "weight 'linear.weight' is missing"),
    # choices
    (f"{_FFDNET} --family blur", "expected a family out of gaussian for this kind, got 'blur'"),
    (f"{_SONG_UNET} --family ddpm", "expected a family out of consistency, edm, ode for this kind, got 'ddpm'"),
    (f"{_SONG_UNET} --steps 4", "expected no steps for family consistency"),
    (f"{_SONG_UNET} --family edm --steps 4", "expected no steps for family edm"),
    (f"{_FILM} --steps 4", "expected no steps for family ddpm"),
    (f"{_FFDNET} --steps 4", "expected no steps for family gaussian"),
    (f"{_SONG_UNET} --family ode --steps 0", "Invalid value for '--steps'"),
    (f"{_FFDNET} --time-rule exact", "expected no time rule for family gaussian"),
    (f"{_FILM} --time-rule closed-form", "time rule closed-form holds for the cosine schedule, not linear"),
    (f"{_FILM} --time-rule exact", r"expected one of \['first-above', 'closed-form'\], found 'exact'"),
    (f"{_SONG_UNET} --time-rule first-above", r"expected one of \['exact', 'nearest-2sigma', 'nearest-sigma'\], found"),
    (f"{_SONG_UNET} --time-rule nearest", "Invalid value for '--time-rule'"),
    (f"--purifier identity {_RESNET} {_NEW} --family ode", "expected no family with purifier identity"),
    (f"--purifier identity {_RESNET} {_NEW} --steps 3", "expected no steps with purifier identity"),
    (f"--purifier identity {_RESNET} {_NEW} --no-clip", "expected no clip with purifier identity"),
    (f"--purifier identity {_RESNET} {_NEW} --purifier-config song.json", "no config with purifier identity"),
    # the description of the network
    (f"--purifier adm=adm.pt {_RESNET} {_NEW}", r"network: .* missing fields \['\w+'"),
    (f"--purifier adm=adm.pt --purifier-config no-order.json {_RESNET} {_NEW}", r"missing fields \['qkv_order'\]"),
    (f"{_FFDNET} --purifier-config broken.json", "broken.json: expected .*network and purifier as JSON"),
    (f"{_FFDNET} --purifier-config deep.json", "deep.json: expected .*network and purifier as JSON"),
    (f"{_FFDNET} --purifier-config list.json", "list.json: expected .* as a JSON object"),
    (f"{_FFDNET} --purifier-config absent.json", "absent.json: cannot be read"),
    (f"{_FFDNET} --purifier-config other.json", "unknown key 'networks'; known are network, purifier"),
    (f"{_FFDNET} --purifier-config inner.json", "inner.json: expected objects under network and purifier"),
    (f"{_FFDNET} --purifier-config field.json", r"unknown fields \['widht'\]"),
    (f"{_FFDNET} --purifier-config value.json", "network: width: expected a value of type int, found "),
    # what does not fit together
    (f"--purifier ffdnet=grey.pt {_RESNET} {_NEW}", r"images of \[3, 32, 32\].* pass through the purifier.*do not"),
    (f"{_SONG_UNET} --image-size 32", "expected --image-size 8, which the purifier was made for, got 32"),
    (f"{_FFDNET} --image-size 31", r"images of \[3, 31, 31\].* pass through the purifier"),
    (f"{_FILM} --image-size 31", r"images of \[3, 31, 31\].* pass through the purifier"),
    (f"{_FFDNET} --image-size 0", "Invalid value for '--image-size'"),
    (f"{_FFDNET} --resize nearest", "Invalid value for '--resize'"),
    (f"{_FFDNET} --preprocessing none", "Invalid value for '--preprocessing'"),
    # where it goes
    (f"--purifier ffdnet=ffdnet.pt {_RESNET} -o old.pt", "old.pt: exists already; .* --force"),
    (f"--purifier ffdnet=ffdnet.pt {_RESNET} -o . --force", "expected a file name in a folder that exists"),
    (f"--purifier ffdnet=ffdnet.pt {_RESNET} -o absent/new.pt", "expected a file name in a folder that exists"),
]


def test_every_refusal_is_one_line_and_exit_code_2_and_nothing_is_written(folder: Path, run: Run) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for arguments, words in _REFUSALS:
        code, out, err = run(*arguments.split())
        assert (code, out) == (2, ""), f"{arguments}: {err}"
        assert re.search(words, err), f"{arguments}: {err}"
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, arguments


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_a_library_that_is_not_installed_is_named(folder: Path, run: Run) -> None:
    code, out, err = run(*f"--purifier identity --classifier timm:resnet18=classifier.pth {_NEW}".split())
    assert (code, out) == (3, "")
    assert err == "error: this classifier needs the package timm; run: pip install 'purecert[train]'\n"
    assert not (folder / "new.pt").exists()


@pytest.mark.parametrize("arguments", [_FFDNET, _FILM, _SONG_UNET, f"{_SONG_UNET} --family ode --steps 3"])
def test_a_good_import_prints_the_path_of_a_model_that_can_be_read(folder: Path, run: Run, arguments: str) -> None:
    code, out, err = run(*arguments.split())
    assert (code, out) == (0, "new.pt\n")
    model = load_model(folder / "new.pt")
    assert err.splitlines() == [f"chosen: {choice}" for choice in model.choices]
    image = torch.zeros(1, *model.input_shape)
    assert model.classifier(model.preprocessing(model.purifier(image, 0.25))).shape == (1, 10)


def test_every_choice_is_said_and_by_whom_it_was_made(folder: Path, run: Run) -> None:
    told = run(*f"{_SONG_UNET} --family ode --steps 3 --std 1,2,4".split())[2]
    for line in (
        "purifier family: ode; of consistency, edm, ode, the first by default",
        "purifier's steps: 3 (given)",
        "purifier's model.time_rule: exact (as published)",
        "purifier's model.clip: False (as published)",
        "classifier's mean: 0.485,0.456,0.406 (as akamaster's, since not all names begin with 1.)",
        "classifier's std: 1.0,2.0,4.0 (given)",
        "resize: bilinear, from 8 pixels to the classifier's 32 (the default, since no file records it)",
        "preprocessing: fast",
    ):
        assert f"chosen: {line}\n" in told
    assert "model.sigma_data 0.5 (as published)" in told
    adm = f"--purifier adm=adm.pt --purifier-config adm.json {_RESNET} -o adm-model.pt"
    assert "chosen: network's qkv_order: heads-three-dim (no weight shows it)\n" in run(*adm.split())[2]
    told = run(*f"{_FFDNET} --image-size 24 --preprocessing exact --force".split())[2]
    assert "chosen: image size: 24 (given)\n" in told
    assert "chosen: preprocessing: exact\n" in told


def test_the_record_says_where_the_weights_come_from(folder: Path, run: Run) -> None:
    extra = ["--data", "digits:train", "--licence", "MIT", "--image-size", "24"]
    assert run(*_FFDNET.split(), *extra)[0] == 0
    model = load_model(folder / "new.pt")
    assert (model.data, model.licence, model.input_shape) == ("digits:train", "MIT", (3, 24, 24))
    digests = {name: sha256((folder / name).read_bytes()).hexdigest() for name in ("ffdnet.pt", "classifier.pth")}
    assert model.sources == (
        f"ffdnet: ffdnet.pt, sha256 {digests['ffdnet.pt']}",
        f"cifar-resnet: classifier.pth, sha256 {digests['classifier.pth']}",
    )


def test_force_replaces_the_file(folder: Path, run: Run) -> None:
    code, out, _ = run(*f"--purifier identity {_RESNET} -o old.pt --force".split())
    assert (code, out) == (0, "old.pt\n")
    assert load_model(folder / "old.pt").classes == 10


def test_list_names_every_kind_and_every_family(run: Run) -> None:
    code, out, err = run("--list")
    assert (code, err) == (0, "")
    listed = {line.split(":")[0].strip() for line in out.splitlines()}
    assert listed == {*NETWORK_KINDS, *CLASSIFIER_KINDS, "identity", "purifiers", "classifiers"}
    for name, kind in NETWORK_KINDS.items():
        assert f"families {', '.join(kind.purifiers)}" in next(
            line for line in out.splitlines() if f"  {name}:" in line
        )


def test_help_answers_without_the_heavy_imports() -> None:
    program = (
        "import sys\n"
        "from purecert.train.importing.command import import_command\n"
        "try:\n"
        "    import_command(['--help'], prog_name='engine-import')\n"
        "finally:\n"
        "    print(sorted({'torch', 'numpy', 'transformers', 'timm'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "Usage: engine-import" in done.stdout
    assert "--purifier-config" in done.stdout


def test_the_installed_program_refuses_in_one_line(tmp_path: Path) -> None:
    classifier = f"cifar-resnet={tmp_path / 'absent.pth'}"
    done = engine("import", "--purifier", "identity", "--classifier", classifier, "-o", tmp_path / "new.pt").expect(2)
    assert done.out == ""
    assert done.err == f"error: {tmp_path / 'absent.pth'}: cannot be read (No such file or directory)\n"
