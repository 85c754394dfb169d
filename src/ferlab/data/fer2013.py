"""The official splits of FER2013 (https://arxiv.org/abs/1307.0414)."""

from ferlab.data.dataset import Split

# Values of the column `Usage`, which are also the file name prefixes of the Kaggle layout, in the order of the rows.
USAGES = {"Training": Split.TRAIN, "PublicTest": Split.VALIDATION, "PrivateTest": Split.TEST}

SPLIT_SIZES = {Split.TRAIN: 28_709, Split.VALIDATION: 3_589, Split.TEST: 3_589}  # images
NUM_IMAGES = sum(SPLIT_SIZES.values())
