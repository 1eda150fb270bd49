"""Every place that names the licence, the authors or the version names the same."""

import re
import tomllib
from pathlib import Path

import purecert
from purecert.train.models.checkpoints import demo_model_path, load_model

_ROOT = Path(__file__).parents[2]
_LICENCE, _AUTHORS = "Apache-2.0", "the purecert authors"


def _citation(key: str) -> list[str]:
    """Return the file's own entries of ``key``, without those of the papers, which are indented further."""
    return re.findall(rf"^(?:  - )?{key}: (.*)$", (_ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_licence_is_whole_and_names_the_authors() -> None:
    text = (_ROOT / "LICENSE").read_text()
    assert re.findall(r"^ {3}(\d)\. ", text, re.MULTILINE) == list("123456789")
    assert "END OF TERMS AND CONDITIONS" in text
    assert re.search(rf"^   Copyright \d{{4}} {_AUTHORS}$", text, re.MULTILINE)


def test_the_package_the_citation_and_the_demo_say_the_same() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == (_LICENCE, ["LICENSE"])
    assert project["authors"] == [{"name": _AUTHORS}]
    assert (_citation("license"), _citation("name")) == ([_LICENCE], [_AUTHORS])
    assert load_model(demo_model_path()).licence.startswith(f"{_LICENCE}, {_AUTHORS};")
    for page in ("CONTRIBUTING.md", "train/demo/README.md"):
        assert f"{_LICENCE}, {_AUTHORS}" in (_ROOT / page).read_text()


def test_the_version_is_one() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert _citation("version") == [project["version"]] == [purecert.__version__]


def test_the_citation_names_files_that_exist() -> None:
    named = re.findall(r"\b(?:engine|train|kernels)/[\w/.]*\w", (_ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert not [name for name in named if not (_ROOT / name).exists()]


def test_every_paper_that_the_code_names_is_in_the_citation() -> None:
    """By an author and the year; colours and journals are no papers of which something is implemented."""
    content = (_ROOT / "CITATION.cff").read_text(encoding="utf-8")
    references = content.split("  - type:")[1:]
    code = [
        path.read_text(encoding="utf-8")
        for room in ("engine", "export", "train")
        for path in (_ROOT / room).rglob("*.py")
    ]
    named = set(re.findall(r"\b([A-Z][a-z]+)(?: et al\.| and [A-Z][a-z]+),? \(?((?:19|20)\d\d)\b", "\n".join(code)))
    assert len(named) > 30
    known = {
        (name, year) for name, year in named for part in references if f"{name}," in part and f"year: {year}" in part
    }
    assert sorted(named - known - {("Okabe", "2008")}) == []
