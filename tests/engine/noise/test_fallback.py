"""What happens where the native module or torch is missing, tried in processes that cannot import them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from purecert.engine.noise.rows import draw

_DRAW = (
    "import json; from purecert.engine.noise.paths import active_path; from purecert.engine.noise.rows import draw;"
    "rows = [draw(.25, seed=9, image=1, phase=1, draw=n, count=50).tolist() for n in range(3)];"
    "print(json.dumps([active_path(), rows]))"
)


def _run(code: str, *hidden: str) -> subprocess.CompletedProcess[str]:
    hide = "import sys;" + "".join(f"sys.modules[{name!r}] = None;" for name in hidden)
    return subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True, check=False)


def test_without_the_native_module_torch_draws_the_same_and_says_so_once() -> None:
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    done = _run(_DRAW, "purecert._kernels")
    assert done.returncode == 0, done.stderr
    path, rows = json.loads(done.stdout)
    assert path == "torch"
    expected = [draw(0.25, seed=9, image=1, phase=1, draw=n, count=50) for n in range(3)]
    np.testing.assert_array_equal(rows, expected)
    notice = done.stderr.strip().splitlines()
    assert len(notice) == 1
    for words in ("native noise module is missing", "the same values, but slower", "Reinstall purecert"):
        assert words in notice[0]


def test_the_native_module_needs_no_torch_and_says_nothing() -> None:
    pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    done = _run(_DRAW, "torch")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0] in ("portable", "avx2", "avx512")


def test_without_both_the_error_tells_the_fix() -> None:
    done = _run(_DRAW, "purecert._kernels", "torch")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("purecert.engine.errors.BackendError: no way to draw noise")
    assert "reinstall purecert with a C++17 compiler, or install torch" in last


@pytest.mark.parametrize(
    ("hidden", "path"), [("purecert._kernels", "native"), ("purecert._kernels", "portable"), ("torch", "torch")]
)
def test_a_path_asked_for_by_name_is_never_replaced(hidden: str, path: str) -> None:
    code = "from purecert.engine.noise.rows import draw; "
    code += f"draw(.25, seed=0, image=0, phase=0, draw=0, count=1, path={path!r})"
    done = _run(code, hidden)
    assert done.returncode != 0
    assert f"BackendError: noise path {path} was asked for but cannot be used" in done.stderr.strip().splitlines()[-1]


def test_a_path_that_the_processor_lacks_is_refused_with_what_it_has() -> None:
    pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    code = (
        "import purecert._kernels as kernels; kernels.paths = lambda: ['portable'];"
        "from purecert.engine.noise.paths import active_path; from purecert.engine.noise.rows import draw; "
        "assert active_path() == 'portable';"
        "draw(.25, seed=0, image=0, phase=0, draw=0, count=1, path='native');"
        "draw(.25, seed=0, image=0, phase=0, draw=0, count=1, path='avx512')"
    )
    done = _run(code)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "noise path avx512 was asked for but cannot be used (this processor runs portable)" in last


def test_importing_the_noise_imports_no_torch() -> None:
    done = _run("import purecert.engine.noise.rows; assert 'torch' not in sys.modules")
    assert (done.returncode, done.stderr) == (0, "")
