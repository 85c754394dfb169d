"""Fetching FER2013 from Kaggle."""

from pathlib import Path

from ferlab.errors import DataError, MissingExtraError

HANDLE = "msambare/fer2013"


def download() -> Path:
    """Fetches the Kaggle set, without an account, unless it is there already.

    Returns:
        The folder, a source for `load_dataset`.

    Raises:
        MissingExtraError: if kagglehub is not installed.
        DataError: if it cannot be fetched.
    """
    try:
        import kagglehub
    except ModuleNotFoundError:
        raise MissingExtraError("download", "kagglehub") from None
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network does to kagglehub
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{HANDLE} could not be fetched from Kaggle ({reason}). Fetch it with a browser from "
            f"https://www.kaggle.com/datasets/{HANDLE}, and name the zip with --data."
        ) from error
