"""engine-doctor: which backends can be used on this machine, and what the others lack."""

import click
from gpu.examination import examine
from gpu.record import print_table, write_record
from gpu.setting import read_setting

from purecert.engine.commands.console import EngineCommand


@click.command(cls=EngineCommand)
def main() -> None:
    """Record the doctor's report; a backend that cannot be used is an answer, and fails nothing."""
    report = examine()
    write_record(read_setting(), "doctor", {"report": report})
    backends = report["backends"]
    rows = [(one["backend"], "yes" if one["usable"] else "no", one["seconds"], one["reason"]) for one in backends]
    print_table(("backend", "usable", "seconds", "why"), rows)
    for remedy in dict.fromkeys(one["remedy"] for one in backends if not one["usable"]):
        names = ", ".join(one["backend"] for one in backends if one["remedy"] == remedy)
        print(f"to mend {names}: {remedy}")
    for notice in report["notices"]:
        print(f"notice: {notice['reason']}; to mend: {notice['remedy']}")
    print(f"answered in {report['seconds']} s")


if __name__ == "__main__":
    main()
