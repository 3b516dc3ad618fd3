import pytest

from leadline.trainers import memory
from leadline.trainers.memory import MemoryKills, memory_limit, memory_told


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up machine: returns what writes its files."""
    monkeypatch.setattr(memory, "PROCESSES", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")

    def write(place, text):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)

    return write


def test_the_limit_is_the_least_of_those_of_the_control_groups_above(system):
    system("proc/7/cgroup", "0::/job/step\n")
    system("cgroup/job/memory.max", "4000000\n")
    system("cgroup/job/step/memory.max", "max\n")
    assert memory_limit(7) == 4_000_000


def test_a_group_of_the_first_version_has_a_limit_too(system):
    system("proc/7/cgroup", "4:memory:/job\n1:cpu:/\n")
    system("cgroup/memory/job/memory.limit_in_bytes", "3000000\n")
    assert memory_limit(7) == 3_000_000


def test_without_a_group_it_is_what_the_machine_has(system):
    assert memory_limit(7) > 2**27


@pytest.mark.parametrize(
    ("group", "file", "before"),
    [
        ("0::/job", "cgroup/job/memory.events", "low 0\noom 3\noom_kill {}\n"),
        ("4:memory:/job", "cgroup/memory/job/memory.oom_control", "under_oom 0\noom_kill {}\n"),
    ],
)
def test_a_kill_for_memory_is_seen_in_the_groups_count(system, group, file, before):
    system("proc/7/cgroup", f"{group}\n")
    system(file, before.format(2))
    kills = MemoryKills(7)
    assert not kills.happened
    system(file, before.format(3))
    assert kills.happened


def test_a_system_that_does_not_count_says_nothing(system):
    assert not MemoryKills(7).happened


def test_peak_and_limit_are_told_with_their_units():
    peak, limit = memory_told().split(", ")[:2]
    assert peak.startswith("peak ")
    assert limit.startswith("limit ")
    assert peak[-2:] in ("MB", "GB")
