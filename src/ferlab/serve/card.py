"""The model card of the service: what the model is, what it is for, and where it fails."""

from ferlab.emotions import Target
from ferlab.predict.artifact import Artifact
from ferlab.serve.wire import ModelResponse

# Probabilities are calibrated: below one half, a prediction is more often wrong than right.
MIN_CONFIDENCE = 0.5
INTENDED_USE = (
    "Research on facial-expression recognition, and applications in which an error harms nobody. Do not use it to "
    "conclude what a person feels. A facial expression is not a feeling, and faces move for many other reasons. In the "
    "European Union, systems that infer the emotions of people at work or in education are prohibited, except for "
    "medical or safety reasons."
)
TARGET_LIMITS = {
    Target.FER2013: (
        "Noisy labels: the label of FER2013 has the most votes of ten people on 64 % of the PublicTest images.",
        "Ordinary faces: on faces from the press and from movies, models trained on the labels of FER2013 are weaker "
        "than on its own images, and predict many neutral faces as angry or sad.",
    ),
    Target.FERPLUS: (
        "Labels: the majority of ten people. Images without a majority were not scored.",
        "Ordinary faces: on faces from the press and from movies, models trained on FER+ miss many sad and surprised "
        "faces, and most faces of disgust and fear.",
    ),
}
LIMITS = (
    "Frontal faces: profile views were not tested.",
    "Unknown groups: FER2013 does not record age, skin tone or origin. How accuracy depends on them was not tested.",
)


def model_card(artifact: Artifact) -> ModelResponse:
    """Describe a model. Class names, accuracy and licenses are those in its file."""
    metadata = artifact.metadata
    return ModelResponse(
        name=artifact.name,
        class_names=list(artifact.class_names),
        min_confidence=MIN_CONFIDENCE,
        accuracy=metadata["accuracy"],
        intended_use=INTENDED_USE,
        limits=[*TARGET_LIMITS.get(metadata.get("target", Target.FER2013), ()), *LIMITS],
        license=metadata["licenses"],
    )
