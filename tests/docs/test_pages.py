"""README and docs/: their size, their links, their commands; every block is run, or says why it is not."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from purecert.engine.commands.certify import certify_command
from purecert.engine.commands.doctor import doctor_command
from purecert.engine.commands.predict import predict_command
from purecert.engine.commands.report import report_command
from purecert.engine.commands.verify import verify_command
from purecert.export.bench.command import bench_command
from purecert.export.commands import export_command
from purecert.train.commands import train_command
from purecert.train.importing.command import import_command
from support.pages import DOCS, LANGUAGES, PAGES, README, ROOT, anchors, blocks, comment_lines, is_comment, links, spans

_DEVELOPERS = [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "kernels" / "README.md"]
_ALL = [*PAGES, *_DEVELOPERS]
_RUN = [page for page in PAGES if any(block.is_run for block in blocks(page.read_text()))]
_RUN_BY_CI = (README,)  # make test-nightly runs the others
_COMMANDS = {
    "engine-bench": bench_command,
    "engine-certify": certify_command,
    "engine-doctor": doctor_command,
    "engine-export": export_command,
    "engine-import": import_command,
    "engine-predict": predict_command,
    "engine-report": report_command,
    "engine-train": train_command,
    "engine-verify": verify_command,
}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_readme_is_read_in_five_minutes() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 140
    assert [line for line in lines if len(line) > 120] == []


def test_the_index_links_to_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in links(index.read_text())}
    assert [_name(page) for page in PAGES if page not in (README, index) and page not in linked] == []


@pytest.mark.parametrize("page", _ALL, ids=_name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    for target in links(page.read_text()):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(path.read_text()), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    text = page.read_text()
    assert [line for line in comment_lines(text) if not is_comment(line)] == []
    found = blocks(text)
    used = sum(len(b.first) + bool(b.run_as) + (b.not_run is not None) + (b.run_by is not None) for b in found)
    assert used == len(comment_lines(text)), "a comment stands before no block"
    for block in found:
        assert block.language in LANGUAGES, f"line {block.line}: expected one of {LANGUAGES} after the fence"
        block.smaller()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_block_that_another_file_runs_is_in_that_file(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.run_by is not None:
            words = (ROOT / block.run_by).read_text().replace(";", " ;").split()
            running = " ".join(words)
            commands = [line.partition("#")[0].strip() for line in block.text.splitlines()]
            assert [command for command in commands if f" {command} " not in f" {running} "] == []


@pytest.mark.parametrize("page", _ALL, ids=_name)
def test_commands_in_sentences_and_in_blocks_that_are_not_run_name_what_exists(page: Path) -> None:
    text = page.read_text()
    still = [line for b in blocks(text) if b.not_run is not None for line in b.text.replace("\\\n", " ").splitlines()]
    for command in (*spans(text), *still):
        words = shlex.split(command, comments=True) if command.startswith("engine-") else []
        if words:
            _expect_options(words)
        for program in re.findall(r"(?:^|\s)(benchmarks/\w+\.(?:py|sh))", command):
            assert (ROOT / program).exists(), f"{program} of {command!r} is not there"


def _expect_options(words: list[str]) -> None:
    command: click.Command = _COMMANDS[words[0]]
    if isinstance(command, click.Group):
        if len(words) == 1 or words[1].isupper():  # RECIPE stands for any of them
            return
        command = command.commands[words[1]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    named = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
    assert named <= known | {"--help"}, f"{words[0]} has no {', '.join(sorted(named - known))}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[] if page in _RUN_BY_CI else [pytest.mark.nightly]) for page in _RUN],
    ids=_name,
)
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path, demo_plan: Path) -> None:
    """A page may copy $DEMO_PLAN, of sigma 0.5, where another page runs the export of the same model."""
    run = [block for block in blocks(page.read_text()) if block.is_run]
    assert run  # and each ends well, which _run asserts
    for block in run:
        for command in block.first:
            _run(["bash", "-euo", "pipefail", "-c", command], tmp_path, block.line, demo_plan)
        program = [sys.executable] if block.language == "python" else ["bash", "-euo", "pipefail"]
        _run([*program, "-c", block.smaller()], tmp_path, block.line, demo_plan)


def _run(arguments: list[str], folder: Path, line: int, demo_plan: Path) -> None:
    """Run a block as a reader does: in their folder, with the commands of this environment."""
    environment = os.environ | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "DEMO_PLAN": os.fspath(demo_plan),
        "PYTHONPATH": str(ROOT / "tests"),  # for stand-ins (tests/support/page_files.py)
    }
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    said = f"line {line}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
