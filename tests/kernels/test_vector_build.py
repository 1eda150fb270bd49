"""What a file that is compiled for one instruction set leaves behind: nothing that another processor could run."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_KERNELS = Path(__file__).parents[2] / "kernels"
# As CMakeLists.txt has them.
_OPTIONS = {"avx2": ["-mavx2", "-mf16c"], "avx512": ["-mavx512f", "-mavx512bw"]}


@pytest.fixture(scope="module")
def compiler() -> str:
    """Return the C++ compiler, or skip."""
    found = shutil.which("g++")
    if found is None or platform.machine() != "x86_64":
        pytest.skip("needs g++ on x86-64")
    return found


@pytest.mark.parametrize("name", _OPTIONS)
def test_no_function_for_one_instruction_set_can_be_linked_by_other_files(
    name: str, compiler: str, tmp_path: Path
) -> None:
    """Of equal inline functions the linker keeps any one: were it this file's, an older processor would stop at it."""
    made = tmp_path / "noise.o"
    source = _KERNELS / "src" / f"noise_{name}.cpp"
    flags = ["-std=c++17", "-fPIC", "-O3", "-DPURECERT_X86", f"-I{_KERNELS / 'include'}", *_OPTIONS[name]]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(made)], check=True)
    symbols = subprocess.run(["nm", "--demangle", str(made)], check=True, capture_output=True, text=True).stdout
    shared = [line.split(maxsplit=2)[2] for line in symbols.splitlines() if re.match(r"[0-9a-f]+ [uVvWw] ", line)]
    own = f"purecert::{name.capitalize()}Lanes"
    assert shared
    assert [symbol for symbol in shared if own not in symbol] == []
    # Nor may anything of it run when the module is loaded.
    sections = subprocess.run(
        ["readelf", "--sections", "--wide", str(made)], check=True, capture_output=True, text=True
    )
    assert ".init_array" not in sections.stdout


def test_the_options_are_those_of_the_build() -> None:
    build = (_KERNELS.parent / "CMakeLists.txt").read_text()
    for name, options in _OPTIONS.items():
        assert re.search(rf'noise_{name}\.cpp PROPERTIES\s+COMPILE_OPTIONS "-O3;{";".join(options)}[";]', build)
