"""A Ray cluster on this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from ferlab.distributed.cluster import connected

SECONDS = 120.0  # that a test waits at most for something to happen


class LocalCluster:
    """Three Ray nodes on this machine: a head without CPU cores, and two with one core each.

    The process is connected to it, so that the engines use it.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.cluster.add_node(num_cpus=1), self.cluster.add_node(num_cpus=1)]

    def workers(self, task: str) -> list[int]:
        """Return the processes that run a Ray task or actor now."""
        return [process for process in _processes() if f"ray::{task}" in _read(process, "cmdline")]

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


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    pytest.importorskip("ray")
    nodes = LocalCluster()
    with connected(nodes.cluster.address):
        yield nodes
    nodes.close()


def wait_until(condition: Callable[[], bool], running: Future) -> None:
    """Wait until a condition holds while something runs in another thread."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert not running.done(), "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.02)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(process: int, name: str) -> str:
    try:
        return Path("/proc", str(process), name).read_text()
    except OSError:  # it has ended
        return ""
