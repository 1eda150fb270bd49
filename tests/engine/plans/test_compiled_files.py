"""A compiled file is found again by everything that it is made from, and by nothing else."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.plans.compiled_files import compiled_file, sole_maker
from purecert.engine.plans.plan import Plan, read_plan

_MADE_FROM = {"batch": 8, "version": "1.2"}


@pytest.fixture
def plan(demo_plan: Path) -> Plan:
    return read_plan(demo_plan)


def test_the_name_and_the_digest_are_of_the_graph_and_what_else_it_is_made_from(plan: Plan) -> None:
    path, origin = compiled_file(plan, 0.5, "cpu", ".pt2", "made/1", _MADE_FROM)
    graph = plan.graph(0.5).sha256
    written = f'{{"schema":"made/1","graph":"{graph}","batch":8,"version":"1.2"}}'
    assert origin == sha256(written.encode()).hexdigest()
    assert path == plan.directory / "cache" / f"sigma-0.5-cpu-{origin[:16]}.pt2"


def test_another_graph_is_another_file(plan: Plan) -> None:
    graphs = tuple(replace(graph, sha256="0" * 64) for graph in plan.record.graphs)
    other = replace(plan, record=replace(plan.record, graphs=graphs))
    assert compiled_file(plan, 0.5, "cpu", ".pt2", "made/1", _MADE_FROM) != compiled_file(
        other, 0.5, "cpu", ".pt2", "made/1", _MADE_FROM
    )


def test_of_four_that_would_make_a_file_one_does_and_the_others_find_it(tmp_path: Path) -> None:
    path, made = tmp_path / "cache" / "sigma-0.5-cpu-0123456789abcdef.pt2", []

    def make(who: int) -> bytes:
        with sole_maker(path):
            if not path.is_file():
                time.sleep(0.05)  # compiling takes a while
                made.append(who)
                path.write_bytes(bytes([who]))
        return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(make, range(4)))
    assert len(made) == 1
    assert found == {bytes(made)}


def test_a_cache_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="found a link"), sole_maker(tmp_path / "cache" / "program.pt2"):
        pass
    assert not list((tmp_path / "elsewhere").iterdir())
