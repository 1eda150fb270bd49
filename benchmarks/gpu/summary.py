"""The targets on a GPU, each met, not met or not measured by what lies in RESULTS."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click
from gpu.record import print_table, write_record
from gpu.setting import Setting, read_setting
from gpu.targets import Expected, Records, find_targets

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError

_STEP = "summary"
_EXPECTED = Expected(baseline="TF32 off", beside="torch's defaults", draws=10**9, n=(100_000, 10_000, 1_000))
# What runs on a CPU in the place of that.
_DRY = Expected(baseline="NCHW", beside="channels-last", draws=10**6, n=(400, 100))


@click.command(cls=EngineCommand)
def main() -> None:
    """Judge every target; one that is not met is told, and fails nothing: it is a result."""
    setting = read_setting()
    records = _read(setting)
    targets = list(find_targets(records, setting.pick(_EXPECTED, _DRY)))
    commits = {step: record["commit"] for step, record in sorted(records.items())}
    write_record(setting, _STEP, {"targets": [asdict(target) for target in targets], "commits": commits})
    rows = [(t.claim, t.wanted, t.found, t.verdict, ", ".join(t.sources)) for t in targets]
    print_table(("target", "wanted", "found", "verdict", "steps"), rows)
    for verdict in ("not met", "not measured"):
        if claims := [target.claim for target in targets if target.verdict == verdict]:
            print(f"{verdict}: {'; '.join(claims)}")
    for step, record in sorted(records.items()):
        if reason := record.get("skipped"):
            print(f"skipped: {step}: {reason}")
    if len(set(commits.values())) > 1:
        print(f"the records are of several commits: {', '.join(sorted(set(commits.values())))}")
    if setting.is_dry_run:
        print("a dry run: the programs ran, and these numbers mean nothing")


def _read(setting: Setting) -> Records:
    """Return the record of each step; a dry run's never stand beside those of a GPU.

    Raises:
        CheckError: A file is no record.
    """
    records: dict[str, Mapping[str, Any]] = {}
    for path in sorted(setting.results.glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            of_dry_run = record["dry_run"]
        except (ValueError, KeyError, TypeError) as error:
            raise CheckError(f"{path}: expected the record of a step; delete it and run the step again") from error
        if of_dry_run == setting.is_dry_run and path.stem != _STEP:
            records[path.stem] = record
        elif path.stem != _STEP:
            print(f"{path.name} is left out: it is {'' if of_dry_run else 'not '}of a dry run")
    return records


if __name__ == "__main__":
    main()
