"""Export: a trained run becomes an artifact, one file that says all about itself.

The file is compared with the Keras model on real images before it is there at all. A format is a module with `convert`,
which makes the network's file of a Keras model, and `describe`, which puts metadata into it.
"""

from ferlab.export.export import FORMATS, LICENSES, Format, export
from ferlab.export.parity import TOLERANCES, Agreement, BatchAgreement, Parity, Quantize, Tolerance

__all__ = [
    "FORMATS",
    "LICENSES",
    "TOLERANCES",
    "Agreement",
    "BatchAgreement",
    "Format",
    "Parity",
    "Quantize",
    "Tolerance",
    "export",
]
