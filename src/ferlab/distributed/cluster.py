"""Connect to a Ray cluster, or start Ray on this machine."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ferlab.errors import ClusterError, MissingExtraError, reason_of

CONNECT_SECONDS = 10.0


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Be connected to Ray, and disconnect at the end. A connection that this process already has is used and kept.

    Args:
        address: address of a running cluster that this machine is a node of, such as `10.0.0.1:6379`; `auto` to find
            it; None to start Ray on this machine.

    Raises:
        ClusterError: if the cluster cannot be reached.
        MissingExtraError: if Ray is not installed.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as future versions of Ray do
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtraError("ray", "ray") from None
    if ray.is_initialized():
        yield
        return
    ray._private.worker._worker_logs_enabled = False  # Ray would report dead workers on standard output
    if address:
        _check_reachable(address)
    try:
        if address:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            ray.init("local", logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    except Exception as error:  # each kind of address has its own exceptions
        if address:
            raise _unreachable(address, error) from None
        raise ClusterError(f"Ray cannot be started here: {reason_of(error)}. Use --engine local.") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Check that something listens at an address with a port: Ray itself would try for several minutes.

    Raises:
        ClusterError: if not.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"The Ray cluster {address} cannot be reached: {reason_of(error)}. Check the address with `ray status`, and "
        "set RAY_AUTH_MODE=token if the cluster asks for a token."
    )
