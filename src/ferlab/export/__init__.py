"""Export: turn a trained run into an artifact, a single self-describing model file.

No artifact is written before its predictions match those of the Keras model on real images. A format is a module with
`convert`, which converts a Keras model, and `add_metadata`, which adds metadata to the converted file.
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
