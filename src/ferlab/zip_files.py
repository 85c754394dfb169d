"""Open zips and their members within limits: a small zip can inflate to fill the memory."""

import zipfile
from pathlib import Path
from typing import IO

from ferlab.errors import reason_of
from ferlab.limits import MEBIBYTE, max_inflated

CHUNK = 2**16  # bytes; a longer read may inflate far beyond the stated size


def open_zip(file: Path | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip for reading in place.

    Raises:
        OSError: if the file cannot be read.
        zipfile.BadZipFile: with the reason, if it is not a complete zip.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:  # such as an unknown version, or a name that is not UTF-8
        raise zipfile.BadZipFile(reason_of(error)) from None
    if any("\0" in member.orig_filename for member in archive.infolist()):  # zipfile would cut the name off there
        archive.close()
        raise zipfile.BadZipFile("a name contains a zero byte")
    return archive


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member. It never yields more bytes than the zip states.

    Raises:
        zipfile.BadZipFile: if the member is compressed with another method than deflate: bzip2 inflates a few bytes to
            gigabytes at once.
        Exception: of several kinds, if the zip is damaged; see `ferlab.data.reading.READING_ERRORS`.
    """
    _check_method(member)
    return archive.open(member)


def _check_method(member: zipfile.ZipInfo) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("its compression method is not supported; only deflate is")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """Read a whole member.

    Raises:
        zipfile.BadZipFile: as in `open_member`, or if the zip states more than `max_bytes`.
    """
    if member.file_size > max_bytes:
        size = f"{member.file_size // MEBIBYTE:,} MiB"
        raise zipfile.BadZipFile(f"it inflates to {size}; the limit is {max_bytes // MEBIBYTE} MiB")
    with open_member(archive, member) as file:
        return b"".join(iter(lambda: file.read(CHUNK), b""))


def check_inflation(archive: zipfile.ZipFile, compressed: int) -> None:
    """Check what the members of an archive that is read as a whole inflate to.

    Args:
        archive: the archive.
        compressed: its size in bytes.

    Raises:
        zipfile.BadZipFile: if the sum of the stated sizes is far beyond the size of the archive, or a member is
            compressed with another method than deflate.
    """
    limit = max_inflated(compressed)
    inflated = sum(member.file_size for member in archive.infolist())
    if inflated > limit:
        raise zipfile.BadZipFile(f"it inflates to {inflated // MEBIBYTE:,} MiB; the limit is {limit // MEBIBYTE:,} MiB")
    for member in archive.infolist():
        _check_method(member)
