"""Connect to a Ray cluster, or start Ray on this machine."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ferlab.errors import ClusterError, MissingExtraError, reason_of


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Be connected to Ray, and disconnect at the end. A connection that this process already has is used and kept.

    Args:
        address: address of a running cluster, such as `ray://head:10001`, `10.0.0.1:6379` or `auto`; None to start Ray
            on this machine.

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
    try:
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:  # each kind of address has its own exceptions
        where = "Ray cannot be started here" if address is None else f"The Ray cluster {address} cannot be reached"
        raise ClusterError(f"{where}: {reason_of(error)}. Check it with `ray status`, or use --engine local.") from None
    try:
        yield
    finally:
        ray.shutdown()
