"""How many processors a process may use: those that it may run on, and no more than its control groups pay for."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from purecert.engine.hardware import available_threads

_V1 = "9:name=systemd:/\n4:cpu,cpuacct:/docker/a\n3:cpuset:/docker/a\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 8),  # no control groups, as on another system
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 2),  # docker run --cpus 2.5
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),  # half a processor is one thread
        ("0::/\n", {"cpu.max": "1600000 100000"}, 8),  # more than there are
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # of the group around
        ("0::/a/b\n", {"a/cpu.max": "500000 100000", "a/b/cpu.max": "400000 100000"}, 4),
        ("0::/kubepods/pod1\n", {"cpu.max": "200000 100000"}, 2),  # the mount is the container's own group
        ("0::/../other\n", {"cpu.max": "200000 100000", "../other/cpu.max": "100000 100000"}, 2),
        ("0::/\n", {"cpu.max": "200000"}, 8),  # no period
        ("0::/\n", {"cpu.max": "200000 0"}, 8),
        (_V1, {"cpu/docker/a/cpu.cfs_quota_us": "-1", "cpu/docker/a/cpu.cfs_period_us": "100000"}, 8),
        (_V1, {"cpu/docker/a/cpu.cfs_quota_us": "350000", "cpu/docker/a/cpu.cfs_period_us": "100000"}, 3),
        (_V1, {"cpu,cpuacct/cpu.cfs_quota_us": "150000", "cpu,cpuacct/cpu.cfs_period_us": "50000"}, 3),
        (_V1, {"cpuset/cpu.cfs_quota_us": "100000", "cpuset/cpu.cfs_period_us": "100000"}, 8),  # of no processor time
        (_V1, {"unified/cpu.max": "600000 100000"}, 6),  # both versions at once
    ],
)
def test_threads_are_the_processors_that_the_quota_pays_for(
    groups: str, files: Mapping[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{name}": files[name] for name in files}}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert available_threads(tmp_path) == expected


def test_fewer_processors_than_the_quota_are_all_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert available_threads(tmp_path) == 1
