"""A Ray cluster on this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest

from ferlab.distributed.cluster import connected

SECONDS = 120.0  # that a test waits at most for something to happen
STARTS = 3  # attempts to start: on busy cores, Ray may give up after 30 seconds


class LocalCluster:
    """Three Ray nodes on this machine: a head without CPU cores, and two with one core each.

    The process is connected to it, so that the engines use it.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # A node is lost after five seconds without an answer, instead of 15.
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": {"health_check_period_ms": 1000}}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=1), self.cluster.add_node(num_cpus=1)]

    def workers(self, task: str) -> list[int]:
        """Return the processes of this cluster that run a Ray task or actor now."""
        running = [process for process in _processes() if f"ray::{task}" in _read(process, "cmdline")]
        return [process for process in running if self.cluster.address in _read(_parent(process), "cmdline")]

    def kill_worker(self, task: str) -> None:
        """Kill a process that runs a Ray task or actor."""
        os.kill(self.workers(task)[0], signal.SIGKILL)

    def replace_node(self) -> None:
        """Remove a node, with the processes on it, and add a new one."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))

    def close(self) -> None:
        """Stop all nodes."""
        self.cluster.shutdown()


@pytest.fixture(scope="package")  # its processes would slow down the tests of other folders
def cluster() -> Iterator[LocalCluster]:
    nodes = _start()
    with connected(nodes.cluster.address):
        yield nodes
    nodes.close()


def _start() -> LocalCluster:
    for _ in range(STARTS - 1):
        with suppress(Exception):
            return LocalCluster()
    return LocalCluster()


def wait_until(condition: Callable[[], bool], running: Future) -> None:
    """Wait until a condition holds while something runs in another thread."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert not running.done(), "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.02)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent(process: int) -> int:
    status = _read(process, "status")
    return int(status.partition("PPid:")[2].split()[0]) if status else 0


def _read(process: int, name: str) -> str:
    try:
        return Path("/proc", str(process), name).read_text()
    except OSError:  # it has ended
        return ""
