"""Choose the Keras backend and dtype policy, and describe the machine."""

import importlib.metadata
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ferlab
from ferlab.errors import FerlabError, MissingExtraError

BACKENDS = ("tensorflow", "jax")
Devices = Literal["one", "all"]
FAST_BFLOAT16 = ("avx512_bf16", "amx_bf16")  # flags in /proc/cpuinfo


def start_keras(backend: str | None = None) -> str:
    """Import Keras with a backend.

    Args:
        backend: `tensorflow` or `jax`; None for the one in the environment variable KERAS_BACKEND, or TensorFlow.

    Returns:
        The name of the backend.

    Raises:
        FerlabError: if the backend is unknown, or Keras already runs on another one in this process.
        MissingExtraError: if Keras or the backend is not installed.
    """
    wanted = backend or os.environ.get("KERAS_BACKEND", "tensorflow")
    if wanted not in BACKENDS:
        raise FerlabError(f"Unknown backend '{wanted}'. Choose from: {', '.join(BACKENDS)}.")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = wanted
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # TensorFlow warns about retracing for each model after the fifth in a process.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with quiet_start():
            import keras

            keras.ops.zeros(1)  # creating the first tensor initializes the devices
    except ModuleNotFoundError as error:
        if error.name == "jax":  # in no extra: the package differs by device
            raise FerlabError(
                "The backend jax needs the package 'jax', which is not installed. Install it with: pip install jax, or "
                "pip install 'jax[cuda13]' for an NVIDIA GPU."
            ) from None
        raise MissingExtraError("train", error.name or "keras") from None
    if keras.config.backend() != wanted:
        raise FerlabError(
            f"Cannot use the backend {wanted}: Keras already runs on {keras.config.backend()} in this process. Choose "
            "the backend before anything imports Keras."
        )
    return wanted


@contextmanager
def quiet_start() -> Iterator[None]:
    """Silence C++ code that writes to standard error directly, such as TensorFlow at startup."""
    sys.stderr.flush()
    original = os.dup(2)
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


def count_devices(devices: Devices) -> int:
    """Count the devices that each batch is to be divided among.

    Raises:
        FerlabError: with `all`, if the backend is not JAX.
    """
    if devices == "one":
        return 1
    import keras

    if keras.config.backend() != "jax":
        raise FerlabError("Training on all devices needs the backend jax. Pass --backend jax, or omit --devices.")
    return len(keras.distribution.list_devices())


@contextmanager
def on_devices(devices: Devices) -> Iterator[None]:
    """Divide each batch among devices during the context.

    With `all`, every device holds the whole model and computes its part of each batch
    (https://keras.io/api/distribution/data_parallel/).
    """
    if devices == "one":
        yield
        return
    import keras

    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        yield


def num_devices() -> int:
    """Return the number of devices that a batch is divided among now."""
    import keras

    distribution = keras.distribution.distribution()
    return distribution.num_model_replicas if distribution else 1


def resolve_policy(policy: str) -> str:
    """Resolve `auto` to `mixed_bfloat16` if the hardware supports bfloat16 natively, else to `float32`.

    On a CPU, JAX 0.11.2 computed NaN in bfloat16 where TensorFlow did not, so JAX keeps float32 there.
    """
    if policy != "auto":
        return policy
    import keras

    fast = has_gpu() or (keras.config.backend() == "tensorflow" and _cpu_has_bfloat16())
    return "mixed_bfloat16" if fast else "float32"


def jit_setting() -> bool | str:
    """Return `jit_compile` for `compile`: `auto` on JAX; off on TensorFlow, whose XLA is four times slower on a CPU."""
    import keras

    return "auto" if keras.config.backend() == "jax" else False


def describe(devices: Devices = "one") -> dict[str, Any]:
    """Describe the devices and the versions that a result depends on."""
    import keras
    import numpy

    backend = keras.config.backend()
    framework = sys.modules[backend]
    return {
        "ferlab": ferlab.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "backend": backend,
        "versions": {"keras": keras.version(), backend: framework.__version__, "numpy": numpy.__version__},
        "device": _device_name() if devices == "one" else f"{count_devices(devices)} x {_device_name()}",
        "cores": os.cpu_count(),
    }


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine on which something was measured.

    Args:
        cpu: name of the CPU.
        cores: number of CPU cores.
        load: mean number of busy cores in the last minute; null on Windows.
        system: operating system.
        python: version of Python.
        versions: versions of the installed packages that run models, by name.
    """

    cpu: str
    cores: int | None
    load: float | None
    system: str
    python: str
    versions: dict[str, str]


def describe_machine() -> Machine:
    """Describe this machine, without importing Keras or a framework."""
    versions = {}
    for package in ("numpy", "onnxruntime", "ai-edge-litert", "tensorflow", "jax", "keras"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return Machine(
        cpu=_processor_name(),
        cores=os.cpu_count(),
        load=None if sys.platform == "win32" else round(os.getloadavg()[0], 1),
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions,
    )


def _commit() -> str | None:
    """Return the commit of the source checkout, or None if the package is installed in another way."""
    git = ["git", "-C", str(Path(__file__).parent)]
    commands = [[*git, "ls-files", "--error-unmatch", Path(__file__).name], [*git, "rev-parse", "HEAD"]]
    try:
        for command in commands:  # the first one fails if the repository around this file does not contain it
            found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return found.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def has_gpu() -> bool:
    """Return whether the Keras backend has a GPU."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _cpu_has_bfloat16() -> bool:
    return any(flag in _cpu_info("flags").split() for flag in FAST_BFLOAT16)


def _device_name() -> str:
    if has_gpu():
        import keras

        if keras.config.backend() == "jax":
            import jax

            return jax.devices()[0].device_kind
        return "GPU"
    return _processor_name()


def _processor_name() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_info(key: str) -> str:
    """Read a value of the first core from /proc/cpuinfo; empty on systems other than Linux."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""
