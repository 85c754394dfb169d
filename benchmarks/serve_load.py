"""Load on `ferlab serve`: good and hostile clients at the same time, streams, and throughput against a loop.

Each part starts the service as a process of its own, as users do, and talks to it over the loopback.

- Mixed load (`--clients`): photographs, broken files, truncated and oversized uploads, and uploads that arrive slowly.
  Every request must get its own answer. Latencies are those of the photographs.
- Streams (`--streams`): video frames at 15 per second each, over WebSockets.
- Throughput: photographs from 16 clients, against `Predictor.predict` in a loop over the same files, in turns.
- Soak (`--soak`): the mixed load for so many minutes. Memory is read every second.

    python benchmarks/serve_load.py --photos folder --json results/benchmarks/serve_load.json
    python benchmarks/serve_load.py --photos folder --seconds 60 --soak 10 --json results/benchmarks/serve_load.json
"""

import argparse
import asyncio
import itertools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import cv2
import numpy as np
from machine import report
from websockets.asyncio.client import connect

if TYPE_CHECKING:
    from ferlab import Predictor

SOURCE = Path(__file__).parents[1] / "src"
OVERSIZED = 11_000_000  # bytes; the limit is 10 MB
SLOW_PARTS, SLOW_PAUSE = 10, 0.2  # a slow upload takes two seconds
FRAME_SIZE = (640, 480)
FRAME_RATE = 15  # per second and stream
LOOP_CLIENTS = 16
KINDS = ("photo",) * 12 + ("broken", "truncated", "oversized", "slow")  # the mix of requests
EXPECTED = {"photo": 200, "broken": 200, "truncated": 400, "oversized": 413, "slow": 200}


@dataclass
class Load:
    """What happened during a load."""

    seconds: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=dict)  # seconds, by kind of request
    statuses: Counter[str] = field(default_factory=Counter)
    lost: int = 0  # requests without the answer that they should get
    memory: list[float] = field(default_factory=list)  # MB of the service, once per second


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs (.jpg)")
    parser.add_argument("--clients", type=int, default=50, help="clients of the mixed load (default: 50)")
    parser.add_argument("--streams", type=int, default=10, help="WebSocket streams (default: 10)")
    parser.add_argument("--seconds", type=float, default=15, help="length of each part (default: 15)")
    parser.add_argument("--soak", type=float, default=0, help="minutes of the soak (default: none)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service (default: 1)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(arguments.photos.glob("*.jpg"))]
    parts: list[tuple[str, Callable[[], dict[str, float]]]] = [
        ("mixed", lambda: mixed_rows(arguments, photos, arguments.seconds)),
        ("streams", lambda: stream_rows(arguments, photos)),
        ("throughput", lambda: throughput_rows(arguments, photos)),
    ]
    if arguments.soak:
        parts.append(("soak", lambda: mixed_rows(arguments, photos, 60 * arguments.soak)))
    rows = {f"{part}: {name}": value for part, measure in parts for name, value in measure().items()}
    ratio = rows["throughput: service, photos per s"] / rows["throughput: loop, photos per s"]
    report("serve_load", rows, "", {"throughput: service / Predictor in a loop": ratio}, arguments.json)
    if lost := sum(value for name, value in rows.items() if name.endswith("lost")):
        sys.exit(f"{lost:g} requests did not get their answer.")


@contextmanager
def service(workers: int) -> Iterator[tuple[str, int]]:
    """Run `ferlab serve`. Yields its URL and process number."""
    line = [sys.executable, "-m", "ferlab", "serve", "--port", "0", "--workers", str(workers)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr
        printed = [process.stderr.readline()]
        while printed[-1] and not re.search(r"http://\S+", printed[-1]):  # other messages, or the end
            printed.append(process.stderr.readline())
        found = re.search(r"http://\S+", printed[-1])
        try:
            if not found:
                sys.exit("".join(printed))
            yield found[0], process.pid
        finally:
            process.send_signal(signal.SIGTERM)


def memory_of(process: int) -> float:
    """Return the resident memory of a process and its children in MB."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    status = Path(f"/proc/{process}/status").read_text()
    own = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000
    return own + sum(memory_of(int(child)) for child in children)


def form(content: bytes) -> bytes:
    """Return a multipart form with one file."""
    head = b'--X\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'
    return head + content + b"\r\n--X--\r\n"


async def exchange(url: str, parts: list[bytes], announced: int, pause: float = 0.0) -> tuple[int, bytes]:
    """Send a request on a new connection, in parts with pauses. Returns the status and the body."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**24)
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: {announced}\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:  # refused before it was complete; the answer is there
        pass
    response = await reader.read()
    writer.close()
    head_, _, body = response.partition(b"\r\n\r\n")
    return int(head_.split()[1]) if head_ else 0, body


async def request(url: str, kind: str, photo: bytes) -> tuple[int, bytes]:
    """Send one request of a kind."""
    body = form(b"not an image" if kind == "broken" else photo)
    if kind == "truncated":
        return await exchange(url, [body[: len(body) // 2]], len(body) // 2)
    if kind == "oversized":
        return await exchange(url, [bytes(65536)] * (OVERSIZED // 65536), OVERSIZED)
    if kind == "slow":
        size = math.ceil(len(body) / SLOW_PARTS)
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        return await exchange(url, parts, len(body), SLOW_PAUSE)
    return await exchange(url, [body], len(body))


def is_right(kind: str, status: int, body: bytes) -> bool:
    """Return whether an answer is the one that the request should get. A busy service may say so."""
    if status == 503:
        return b"Try again" in body
    if status != EXPECTED[kind]:
        return False
    if status != 200:
        return b"error" in body
    [result] = json.loads(body)["results"]
    return (result["error"] is not None) == (kind == "broken")


async def client(url: str, number: int, photos: list[bytes], end: float, load: Load) -> None:
    """Send one request after the other until the time is up."""
    for step in itertools.count(number):
        if time.monotonic() > end:
            return
        kind = KINDS[step % len(KINDS)]
        started = time.monotonic()
        try:
            status, body = await request(url, kind, photos[step % len(photos)])
        except OSError as error:
            status, body = 0, str(error).encode()
        load.latencies.setdefault(kind, []).append(time.monotonic() - started)
        load.statuses[f"{kind} {status}"] += 1
        if not is_right(kind, status, body):
            load.lost += 1
            print(f"lost: {kind}: {status} {body[:200]!r}", file=sys.stderr)


@asynccontextmanager
async def watched(process: int, load: Load) -> AsyncIterator[None]:
    """Note the memory of the service once per second, and the time."""

    async def watch() -> None:
        while True:
            load.memory.append(memory_of(process))
            await asyncio.sleep(1)

    task, started = asyncio.create_task(watch()), time.monotonic()
    try:
        yield
    finally:
        load.seconds = time.monotonic() - started
        task.cancel()


def mixed_rows(arguments: argparse.Namespace, photos: list[bytes], seconds: float) -> dict[str, float]:
    """Measure the mixed load."""
    load = Load()

    async def run(url: str, process: int) -> None:
        await asyncio.gather(*(request(url, "photo", photo) for photo in photos))
        async with watched(process, load):
            end = time.monotonic() + seconds
            clients = (client(url, number, photos, end, load) for number in range(arguments.clients))
            await asyncio.gather(*clients)

    with service(arguments.workers) as (url, process):
        asyncio.run(run(url, process))
    print(dict(sorted(load.statuses.items())), file=sys.stderr)
    milliseconds = sorted(1000 * latency for latency in load.latencies["photo"])
    return {
        "seconds": load.seconds,
        "requests": sum(load.statuses.values()),
        "requests per s": sum(load.statuses.values()) / load.seconds,
        "photos p50, ms": statistics.median(milliseconds),
        "photos p99, ms": milliseconds[math.ceil(0.99 * len(milliseconds)) - 1],
        "busy (503)": sum(count for name, count in load.statuses.items() if name.endswith(" 503")),
        "lost": load.lost,
        **memory_rows(load.memory),
    }


def memory_rows(memory: list[float]) -> dict[str, float]:
    """Compare the memory in the second and in the last tenth of a load, so that the start does not count."""
    tenth = max(1, len(memory) // 10)
    return {
        "memory at 10-20 % of the time, MB": statistics.mean(memory[tenth : 2 * tenth] or memory),
        "memory in the last 10 %, MB": statistics.mean(memory[-tenth:]),
        "memory at most, MB": max(memory),
    }


def stream_rows(arguments: argparse.Namespace, photos: list[bytes]) -> dict[str, float]:
    """Measure streams of frames."""
    load, answers, dropped = Load(), [], []
    frames = [encoded_frame(photo) for photo in photos]

    async def stream(url: str, end: float) -> None:
        async with connect(url.replace("http", "ws", 1) + "/v1/stream", max_queue=None) as socket:
            sent: list[float] = []
            sender = asyncio.create_task(send(socket, sent, end))
            answer = {"frame": -1}
            while not sender.done() or answer["frame"] < len(sent) - 1:
                answer = json.loads(await asyncio.wait_for(socket.recv(), 60))
                answers.append(time.monotonic() - sent[answer["frame"]])
                load.lost += answer["error"] is not None
            dropped.append(answer["dropped"])
            load.statuses["sent"] += len(sent)

    async def send(socket: object, sent: list[float], end: float) -> None:
        for number in itertools.count():
            if time.monotonic() > end:
                return
            sent.append(time.monotonic())
            await socket.send(frames[number // FRAME_RATE % len(frames)])
            await asyncio.sleep(1 / FRAME_RATE)

    async def run(url: str, process: int) -> None:
        async with watched(process, load):
            end = time.monotonic() + arguments.seconds
            await asyncio.gather(*(stream(url, end) for _ in range(arguments.streams)))

    with service(arguments.workers) as (url, process):
        asyncio.run(run(url, process))
    milliseconds = sorted(1000 * latency for latency in answers)
    return {
        "seconds": load.seconds,
        "frames sent per s": load.statuses["sent"] / load.seconds,
        "frames analyzed per s": len(answers) / load.seconds,
        "frames dropped": sum(dropped),
        "frames p50, ms": statistics.median(milliseconds),
        "frames p99, ms": milliseconds[math.ceil(0.99 * len(milliseconds)) - 1],
        "lost": load.lost + load.statuses["sent"] - len(answers) - sum(dropped),
        **memory_rows(load.memory),
    }


def encoded_frame(photo: bytes) -> bytes:
    """Return a photograph as a frame of a camera."""
    image = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(image, FRAME_SIZE, interpolation=cv2.INTER_AREA))[1].tobytes()


def throughput_rows(arguments: argparse.Namespace, photos: list[bytes]) -> dict[str, float]:
    """Measure the service and a loop over `Predictor.predict`, in turns of two seconds."""
    from ferlab import Predictor

    predictor, own = Predictor(), os.getpid()
    counts, seconds, processor = Counter[str](), Counter[str](), Counter[str]()
    with service(arguments.workers) as (url, process):
        sides = {
            "service": (process, lambda end: asyncio.run(served(url, photos, end))),
            "loop": (own, lambda end: looped(predictor, photos, end)),
        }
        for turn in range(1 + max(1, round(arguments.seconds / 4))):
            for side, (measured, run) in sides.items():
                started, used = time.monotonic(), processor_seconds(measured)
                count = run(started + 2)
                if turn:  # the first one warms up
                    counts[side] += count
                    seconds[side] += time.monotonic() - started
                    processor[side] += processor_seconds(measured) - used
    return {f"{side}, photos per s": counts[side] / seconds[side] for side in counts} | {
        f"{side}, processor ms per photo": 1000 * processor[side] / counts[side] for side in counts
    }


async def served(url: str, photos: list[bytes], end: float) -> int:
    """Send photographs from several clients until the time is up. Returns their number."""

    async def run(number: int) -> int:
        step = number
        while time.monotonic() < end:
            status, body = await request(url, "photo", photos[step % len(photos)])
            if status != 200 or not is_right("photo", status, body):
                sys.exit(f"The service answered with {status}: {body!r}")
            step += 1
        return step - number

    return sum(await asyncio.gather(*(run(number) for number in range(LOOP_CLIENTS))))


def looped(predictor: "Predictor", photos: list[bytes], end: float) -> int:
    """Predict photographs one by one until the time is up. Returns their number."""
    step = 0
    while time.monotonic() < end:
        predictor.predict(photos[step % len(photos)])
        step += 1
    return step


def processor_seconds(process: int) -> float:
    """Return the processor time of a process and its children so far."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split() if process != os.getpid() else []
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_seconds(int(child)) for child in children)


if __name__ == "__main__":
    main()
