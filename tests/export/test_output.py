"""Where a plan appears, and what it may replace."""

from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.export.output import building, check_output


def _old_plan(path: Path) -> Path:
    (path / "cache").mkdir(parents=True)
    (path / "cache" / "sigma-0.5.pt2").write_bytes(b"program")
    (path / "plan.json").write_text("{}")
    (path / "sigma-0.5.onnx").write_bytes(b"graph")
    return path


def test_an_existing_output_is_refused_without_force(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; choose another name, or pass --force"):
        check_output(_old_plan(tmp_path / "plan"), force=False)


def test_force_replaces_a_plan_whole(tmp_path: Path) -> None:
    plan = _old_plan(tmp_path / "plan")
    check_output(plan, force=True)
    with building(plan, force=True) as directory:
        (directory / "plan.json").write_text("new")
        assert (plan / "sigma-0.5.onnx").exists()  # the old plan stays until the new one is whole
    assert [path.name for path in plan.iterdir()] == ["plan.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def _build_half(output: Path) -> None:
    with building(output, force=True) as directory:
        (directory / "plan.json").write_text("new")
        raise KeyboardInterrupt


def test_a_failure_leaves_the_old_plan_and_nothing_else(tmp_path: Path) -> None:
    plan = _old_plan(tmp_path / "plan")
    with pytest.raises(KeyboardInterrupt):
        _build_half(plan)
    assert (plan / "plan.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "plan with a stranger"])
def test_force_replaces_nothing_but_a_plan(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "plan"
    match kind:
        case "file":
            output.write_text("mine")
        case "folder":
            output.mkdir()
        case "link":
            output.symlink_to(_old_plan(tmp_path / "other"))
        case _:
            (_old_plan(output) / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"--force (replaces a plan directory only|would delete 'thesis.tex')"):
        check_output(output, force=True)


@pytest.mark.parametrize("name", ["thesis.onnx", "cache/thesis"])
def test_a_folder_within_a_plan_is_nobodys_to_delete(tmp_path: Path, name: str) -> None:
    (_old_plan(tmp_path / "plan") / name).mkdir()
    with pytest.raises(InputError, match="--force would delete"):
        check_output(tmp_path / "plan", force=True)


def test_what_was_saved_into_the_old_plan_meanwhile_is_kept(tmp_path: Path) -> None:
    plan = _old_plan(tmp_path / "plan")

    def build() -> None:
        with building(plan, force=True) as directory:
            (directory / "plan.json").write_text("new")
            (plan / "thesis.tex").write_text("mine")

    with pytest.raises(InputError, match=r"would delete 'thesis.tex'"):
        build()
    assert (plan / "thesis.tex").read_text() == "mine"


def test_missing_folders_above_are_made(tmp_path: Path) -> None:
    output = tmp_path / "absent" / "plan"
    check_output(output, force=False)
    with building(output, force=True) as directory:
        (directory / "plan.json").write_text("new")
    assert (output / "plan.json").read_text() == "new"


def test_a_name_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"expected a folder to write into, .*file is a file"):
        check_output(tmp_path / "file" / "plan", force=False)


def test_a_name_with_dots_is_the_folder_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_old_plan(tmp_path / "plan"))
    with building(Path("."), force=True) as directory:
        (directory / "plan.json").write_text("new")
    assert [path.name for path in (tmp_path / "plan").iterdir()] == ["plan.json"]
