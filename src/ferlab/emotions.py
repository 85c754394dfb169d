"""The seven classes of FER2013: order, names and colors. Written once; everything else reads them here."""

# In the order of the codes 0..6 in fer2013.csv, not the alphabetical order of folders.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# One color a class, from the color-blind-safe palette of Okabe and Ito (https://jfly.uni-koeln.de/color/).
COLORS = {
    "angry": "#D55E00",
    "disgust": "#009E73",
    "fear": "#CC79A7",
    "happy": "#F0E442",
    "sad": "#0072B2",
    "surprise": "#E69F00",
    "neutral": "#999999",
}

# What FER+ (https://arxiv.org/abs/1608.01041) calls them, in the columns of fer2013new.csv.
FERPLUS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
