"""The seven classes of FER2013: names, order and colors. All other modules import them from here."""

# In the order of the codes 0..6 in fer2013.csv, which is not alphabetical.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# One color per class, from the colorblind-safe palette of Okabe and Ito (https://jfly.uni-koeln.de/color/).
COLORS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#E69F00",
    "neutral": "#999999",
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
}
