"""No room is so full that a newcomer has to read its list twice."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_MOST = 12


@pytest.mark.parametrize("package", ["engine", "export", "train"])
def test_no_folder_holds_more_files_than_can_be_seen_at_once(package: str) -> None:
    folders = [folder for folder in (_ROOT / package).rglob("*") if folder.is_dir() and folder.name != "__pycache__"]
    counts = {folder: sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    assert len(counts) > 3
    assert {str(folder): count for folder, count in counts.items() if count > _MOST} == {}
