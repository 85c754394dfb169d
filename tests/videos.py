"""Video files and servers for tests."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

RATE = 10  # frames per second


def write_video_file(
    path: Path, images: Sequence[np.ndarray], *, codec: str = "libx264", pixel_format: str = "yuv420p", **options: str
) -> Path:
    """Write a video with PyAV alone.

    Args:
        path: the file; its suffix selects the format.
        images: `(H, W, 3)` uint8, RGB, of one size.
        codec: FFmpeg's encoder.
        pixel_format: FFmpeg's pixel format.
        options: options of the encoder and the format.
    """
    import av

    with av.open(str(path), "w", options=options) as container:
        stream = add_stream(container, images[0], codec, pixel_format, **options)
        encode(container, stream, images)
    return path


def add_stream(
    container: Any, image: np.ndarray, codec: str = "libx264", pixel_format: str = "yuv420p", **options: str
) -> Any:
    """Add a video stream for images of this size."""
    stream = container.add_stream(codec, rate=RATE, options=options)
    stream.height, stream.width, stream.pix_fmt = *image.shape[:2], pixel_format
    return stream


def encode(container: Any, stream: Any, images: Sequence[np.ndarray]) -> None:
    """Write the images to a stream."""
    import av

    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24" if image.shape[2] == 3 else "rgba")
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def noise(number: int, size: tuple[int, int] = (120, 160)) -> list[np.ndarray]:
    """Make images that compress badly, so that each packet has a few kilobytes."""
    return list(np.random.default_rng(0).integers(0, 256, (number, *size, 3), dtype=np.uint8))


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write the matrix `a, b, c, d` of -1, 0 and 1 to the track header of an MP4, as phones do."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@contextmanager
def serve(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve on a local port, and yield it. Each connection is answered in a thread and stays open until the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        try:
            answer(connection)
        except OSError:  # the client is gone
            return

    def accept() -> None:
        while True:
            try:
                connections.append(listener.accept()[0])
            except OSError:  # the listener is closed
                return
            threading.Thread(target=talk, args=(connections[-1],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            connection.close()


def silence(connection: socket.socket) -> None:
    """Answer nothing."""


def http(content: bytes) -> Callable[[socket.socket], None]:
    """Answer an HTTP request with the beginning of a file that claims to be twice as long."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(content)) + content)

    return answer


def raw(content: bytes) -> Callable[[socket.socket], None]:
    """Send some bytes."""
    return lambda connection: connection.sendall(content)


def rtsp(content: bytes) -> Callable[[socket.socket], None]:
    """Play an H.264 stream in Annex B format, with one packet per unit, interleaved in the RTSP connection."""
    description = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    )
    headers = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(description)}\r\n",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
        "PLAY": "Session: 1\r\n",
    }

    def answer(connection: socket.socket) -> None:
        while request := connection.recv(65_536).decode():
            method = request.split()[0]
            [number] = [line for line in request.splitlines() if line.startswith("CSeq")]
            body = description if method == "DESCRIBE" else ""
            connection.sendall(f"RTSP/1.0 200 OK\r\n{number}\r\n{headers.get(method, '')}\r\n{body}".encode())
            if method == "PLAY":
                connection.sendall(b"".join(_rtp_packets(content)))

    return answer


def _rtp_packets(content: bytes) -> Iterator[bytes]:
    time = 0
    for number, unit in enumerate(content.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]):
        is_slice = unit[0] & 31 in (1, 5)
        header = struct.pack(">BBHII", 0x80, 96 | is_slice << 7, number, time, 1)
        yield b"$\0" + struct.pack(">H", len(header) + len(unit)) + header + unit
        time += is_slice * 90_000 // RATE


def write_wide_video(path: Path) -> Path:
    """Write a video of 1280x960 pixels that states that each pixel is 100 times as wide as it is high."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 960, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(100, 1)
        frame = av.VideoFrame.from_ndarray(np.zeros((960, 1280, 3), np.uint8))
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return path
