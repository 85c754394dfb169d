"""Download FER2013 from Kaggle."""

from pathlib import Path

from ferlab.errors import DataError, MissingExtraError

HANDLE = "msambare/fer2013"


def download() -> Path:
    """Download FER2013 from Kaggle, unless it was downloaded before. No account is needed.

    Returns:
        The folder of the dataset, a source for `load_dataset`.

    Raises:
        MissingExtraError: if kagglehub is not installed.
        DataError: if the download fails.
    """
    try:
        import kagglehub
    except ModuleNotFoundError:
        raise MissingExtraError("download", "kagglehub") from None
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # kagglehub raises many kinds of network errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"Downloading {HANDLE} from Kaggle failed ({reason}). Download the zip in a browser from "
            f"https://www.kaggle.com/datasets/{HANDLE} and pass it with --data."
        ) from error
