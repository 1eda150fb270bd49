"""The files of a benchmark: the JSON holds every number, the drawing every row, and nothing is overwritten."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from purecert.engine.bench.output import check_bench_output, write_benchmark
from purecert.engine.bench.record import Benchmark
from purecert.engine.bench.table import table
from purecert.engine.errors import BackendError, InputError


def test_the_json_holds_every_row_and_its_numbers(benchmark: Benchmark, tmp_path: Path) -> None:
    write_benchmark(benchmark, tmp_path / "deep" / "out")
    found = json.loads((tmp_path / "deep" / "out" / "bench.json").read_text())
    assert found["schema"] == "purecert.bench/1"
    assert found["machine"]["cpu"] == "x86_64 Test CPU"
    baseline, backend, unusable = found["rows"]
    assert baseline["row"] == {"name": "eager", "variant": "channels-last", "is_baseline": True, "batch": 64}
    assert baseline["latency"]["batches"] == 200
    assert baseline["agreement"] == {"draws": 2000, "images": 100, "same": 1999}
    assert (backend["verdict"], len(backend["reasons"])) == ("INVALID", 2)
    assert unusable == {
        "row": {"name": "torch", "variant": "", "is_baseline": False, "batch": 64},
        "reason": "no such cached file | none",
    }


def test_the_table_is_written_as_it_is_printed(benchmark: Benchmark, tmp_path: Path) -> None:
    write_benchmark(benchmark, tmp_path)
    assert (tmp_path / "bench.md").read_text() == table(benchmark) + "\n"


def test_the_drawing_names_every_row(benchmark: Benchmark, tmp_path: Path) -> None:
    write_benchmark(benchmark, tmp_path)
    with PIL.Image.open(tmp_path / "bench.png") as image:
        image.load()
        assert image.width > 1000
    assert ElementTree.parse(tmp_path / "bench.svg").getroot().tag.endswith("svg")
    # Text is drawn as outlines; Matplotlib keeps the words as comments.
    written = (tmp_path / "bench.svg").read_text("utf-8")
    for words in (
        "eager channels-last fp32, batch 64",
        "onnxruntime fp32, batch 64",
        "torch, batch 64",
        "cannot be measured here",
        "2,599/s  (2.59 x)",
    ):
        assert f"<!-- {words} -->" in written


def test_bars_are_as_long_as_their_rates_and_an_invalid_one_is_hatched(benchmark: Benchmark, tmp_path: Path) -> None:
    write_benchmark(benchmark, tmp_path)
    with PIL.Image.open(tmp_path / "bench.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    pixels = pixels[: len(pixels) * 3 // 4]  # the key is further down
    blue, grey = (np.abs(pixels - colour).sum(axis=2) < 12 for colour in ((0x00, 0x72, 0xB2), (0x8C, 0x8C, 0x8C)))
    lengths = [int(np.ptp(np.flatnonzero(kind.sum(axis=0) > 15))) for kind in (grey, blue)]
    assert lengths[1] / lengths[0] == pytest.approx(2599 / 999.99, rel=0.03)
    # White stripes lie in the hatched bar alone.
    shares = [
        kind[:, kind.sum(axis=0) > 15].sum() / (np.ptp(np.flatnonzero(kind.sum(axis=1) > 60)) * length)
        for kind, length in zip((grey, blue), lengths, strict=True)
    ]
    assert shares[0] > 0.95
    assert shares[1] < 0.85


def test_the_same_benchmark_gives_the_same_bytes(benchmark: Benchmark, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_benchmark(benchmark, tmp_path / name)
    first, second = ([path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("a", "b"))
    assert len(first) == 4
    assert first == second


def test_a_benchmark_that_is_there_is_kept(benchmark: Benchmark, tmp_path: Path) -> None:
    check_bench_output(tmp_path / "new", force=False)
    assert list(tmp_path.iterdir()) == []
    write_benchmark(benchmark, tmp_path)
    with pytest.raises(InputError, match=r"bench\.json: a benchmark is there; choose another --out, or pass --force"):
        check_bench_output(tmp_path, force=False)
    check_bench_output(tmp_path, force=True)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError, match=r"expected a folder to write into, .*file is a file"):
        check_bench_output(tmp_path / name, force=True)


def test_absent_matplotlib_is_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(BackendError, match=r"pip install 'purecert\[report\]'"):
        check_bench_output(tmp_path, force=False)
