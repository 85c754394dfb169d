"""The classes and the targets of FER2013 and FER+: names, order and colors. All other modules import them from here."""

from enum import StrEnum

# In the order of the codes 0..6 in fer2013.csv, which is not alphabetical.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

CONTEMPT = "contempt"  # the eighth class of FER+


class Target(StrEnum):
    """What the labels of FER2013's images are. Scores on two targets cannot be compared."""

    FER2013 = "fer2013"  # the label that FER2013 gives each image
    FERPLUS = "ferplus"  # the majority of the ten votes of FER+; their distribution is what a model learns


# One color per class, from the colorblind-safe palette of Okabe and Ito (https://jfly.uni-koeln.de/color/).
COLORS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#E69F00",
    "neutral": "#999999",
    CONTEMPT: "#56B4E9",
}

# Names of the classes in FER+ (https://arxiv.org/abs/1608.01041), as in the columns of fer2013new.csv.
FERPLUS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
    CONTEMPT: "contempt",
}
