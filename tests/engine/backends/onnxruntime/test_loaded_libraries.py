"""The versions of CUDA's libraries, asked of the libraries that are loaded; here small ones of their names."""

import subprocess
import sys
from pathlib import Path

_SOURCES = {
    "libcudnn.so.9": "unsigned long cudnnGetVersion(void) { return 91002; }",
    "libcublas.so.13": "int cublasGetProperty(int which, int *value) { *value = 13 - which; return 0; }",
    "libcublasLt.so.13": "int cublasLtGetProperty(int which, int *value) { return 1; }",
    "libcudart.so.13": "int cudaRuntimeGetVersion(int *version) { *version = 13020; return 0; }",
    "libnvinfer.so.10": (
        "int getInferLibMajorVersion(void) { return 10; } int getInferLibMinorVersion(void) { return 16; } "
        "int getInferLibPatchVersion(void) { return 1; } int getInferLibBuildVersion(void) { return 11; }"
    ),
}
_PROGRAM = """
import ctypes, sys
from purecert.engine.backends.onnxruntime.loaded_libraries import is_loaded, loaded_versions
assert loaded_versions() == {} and not is_loaded("cudnn")
for path in sys.argv[1:]:
    ctypes.CDLL(path)
print(loaded_versions(), is_loaded("cudnn"), is_loaded("cud"))
"""


def test_each_loaded_library_is_asked(tmp_path: Path) -> None:
    paths = []
    for name, source in _SOURCES.items():
        (tmp_path / "source.c").write_text(source)
        command = ["gcc", "-shared", "-fPIC", "-o", tmp_path / name, tmp_path / "source.c"]
        subprocess.run(command, check=True)
        paths.append(tmp_path / name)
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *paths], check=True, capture_output=True, text=True)
    expected = {"cudnn": "91002", "cublas": "13.12.11", "cublasLt": "?.?.?", "cudart": "13.2", "nvinfer": "10.16.1.11"}
    assert done.stdout.strip() == f"{expected} True False"
