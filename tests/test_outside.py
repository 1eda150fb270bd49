"""What leaves the machine, and what is written outside of a run, its plan and purecert's own folder: nothing."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from socket import AF_INET6

import pytest

from purecert.engine.telemetry import switch_off
from support.commands import engine_arguments
from support.outside import Watch, watch

_SMALL = ["--sigma", "0.5", "--n", "100", "--probe-rows", "16", "--batch", "16", "--threads", "1"]
_DATA = ["--data", "digits:test[:2]"]
_FROM_PYTHON = """
import sys, purecert
run = purecert.certify(sys.argv[1], "digits:test[:2]", sigma=0.5, n=100, n0=10, threads=1)
run.plot(sys.argv[2])
assert "onnxruntime" in sys.modules
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watch:
    return watch(tmp_path_factory.mktemp("watched"))


def _assert_nothing_else(watched: Watch, command: Sequence[str], *allowed: Path) -> None:
    assert watched.calls(command, allowed) == []
    assert list(watched.home.rglob("*")) == []


def test_the_watch_sees_a_name_looked_up_a_connection_and_files_of_every_kind(watched: Watch) -> None:
    program = (
        "import os, pathlib, socket, sys\n"
        "def attempt(call, *arguments):\n"
        "    try: call(*arguments)\n"
        "    except OSError: pass\n"
        "attempt(socket.getaddrinfo, 'name.invalid', 443)\n"
        "attempt(socket.socket().connect, ('127.0.0.1', 9))\n"
        "home = pathlib.Path.home()\n"
        "(home / 'file').write_text(''), os.mkdir(home / 'folder'), os.close(os.open('relative', os.O_CREAT))\n"
        "os.unlink(home / 'file'), os.rmdir(home / 'folder')"
    )
    home, here = watched.home, watched.folder / "here"
    assert watched.calls([sys.executable, "-c", program], []) == [
        "lookup name.invalid",
        "socket 2",
        "connect 2",
        f"write {home}/file",
        f"write {home}/folder",
        f"write {here}/relative",
    ]


@pytest.mark.parametrize(
    ("given", "taken"), [(None, "1"), ("", "1"), ("1", "1"), ("yes", "1"), ("0", "0"), ("false", "false")]
)
def test_reports_to_makers_are_off_unless_the_user_has_said_0(
    monkeypatch: pytest.MonkeyPatch, given: str | None, taken: str
) -> None:
    names = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        if given is not None:
            monkeypatch.setenv(name, given)
    switch_off()
    assert [os.environ[name] for name in names] == [taken, taken]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed: pip install '.[openvino]'")
def test_a_run_is_made_verified_reported_and_predicted_with_nothing_outside(
    watched: Watch, demo_plan: Path, tmp_path: Path
) -> None:
    run, cache = tmp_path / "run", demo_plan / "cache"
    plan = ["--plan", demo_plan]
    _assert_nothing_else(
        watched, engine_arguments("certify", *plan, *_DATA, *_SMALL, "--n0", "10", "--out", run), run, cache
    )
    beside, openvino = tmp_path / "openvino", ["--n0", "10", "--backend", "openvino"]
    _assert_nothing_else(
        watched, engine_arguments("certify", *plan, *_DATA, *_SMALL, *openvino, "--out", beside), beside, cache
    )
    _assert_nothing_else(watched, engine_arguments("verify", run, "--threads", "1"), run, cache)
    _assert_nothing_else(watched, engine_arguments("report", run, "--out", tmp_path / "figures"), tmp_path / "figures")
    answers = tmp_path / "answers"
    _assert_nothing_else(watched, engine_arguments("predict", *plan, *_DATA, *_SMALL, "--out", answers), answers, cache)


def test_a_program_that_imports_purecert_sends_and_leaves_nothing(
    watched: Watch, demo_plan: Path, tmp_path: Path
) -> None:
    _assert_nothing_else(
        watched,
        [sys.executable, "-c", _FROM_PYTHON, os.fspath(demo_plan), os.fspath(tmp_path / "curve")],
        *(tmp_path, demo_plan / "cache"),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["doctor", "train", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("export", "bench", "import"))],
)
def test_no_other_command_sends_or_leaves_anything(watched: Watch, demo_plan: Path, tmp_path: Path, name: str) -> None:
    _assert_nothing_else(watched, engine_arguments(name, *_arguments(name, demo_plan, tmp_path)), tmp_path)


@pytest.mark.parametrize(
    ("package", "program"),
    [
        ("timm", "import timm; timm.create_model('resnet18', pretrained=False, num_classes=10)"),
        ("lpips", "import lpips; lpips.LPIPS(net='squeeze', pnet_rand=True, verbose=False)"),
    ],
)
def test_networks_of_other_packages_are_built_with_nothing_outside(watched: Watch, package: str, program: str) -> None:
    """As our readers build them: without weights from anywhere. urllib3, which they import, asks if there is IPv6."""
    found = find_spec(package)
    if found is None or found.origin is None or find_spec("torchvision") is None:
        pytest.skip(f"{package} or torchvision, which has no CPU build, is not installed")
    where = os.fspath(Path(found.origin).parents[1])  # perhaps on PYTHONPATH alone, which the watch takes away
    program = f"import sys; sys.path.append({where!r}); import purecert; {program}"
    assert watched.calls([sys.executable, "-W", "ignore", "-c", program], []) in ([], [f"socket {int(AF_INET6)}"])
    assert list(watched.home.rglob("*")) == []


def _arguments(name: str, plan: Path, folder: Path) -> list[str | Path]:
    out = folder / "out"
    match name:
        case "export":
            return ["demo", "--sigma", "0.5", "--precision", "fp32", "--parity-draws", "100", "--out", out]
        case "bench":
            short = ["--batch", "8", "--seconds", "0.1", "--agreement-draws", "10", "--probe-rows", "10"]
            return ["--plan", plan, "--model", "demo", "--backend", "onnxruntime", *short, "--out", out]
        case "import":
            from support.vit_files import small_vit, write_vit

            out.mkdir()
            network = write_vit(folder / "vit", small_vit().state_dict())
            return [
                "--purifier",
                "identity",
                "--classifier",
                f"hf-vit={network}",
                "--image-size",
                "20",
                "-o",
                out / "model.pt",
            ]
        case "train":  # several processes meet over the loopback interface (docs/training.md)
            return ["digits", "--steps-scale", "0.001", "--processes", "1", "-o", out]
        case _:
            return []
