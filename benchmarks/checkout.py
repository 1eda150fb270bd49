"""Which state of the project a program measured."""

import subprocess


def describe_commit() -> str:
    """Return the checkout's commit, with a plus where more than results differ."""
    commit, changes = (
        subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()
        for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", ".", ":!benchmarks/results"])
    )
    return commit + ("+" if changes else "")
