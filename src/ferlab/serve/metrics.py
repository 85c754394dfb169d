"""Metrics of the service in the format of Prometheus. They count and time, and keep nothing of an image."""

import os
from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ferlab.predict.results import Face

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client: where several processes share their metrics
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SHARES = tuple(step / 10 for step in range(1, 11))
FACES = (0, 1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counts requests and what the model says, so that a drift of the images becomes visible."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("ferlab_requests", "Requests.", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "ferlab_request_seconds", "Latency of requests.", ["path"], buckets=SECONDS, registry=registry
        )
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")
        self.in_flight = gauge("ferlab_requests_in_flight", "Predictions that are received or answered.")
        self.queue = gauge("ferlab_queue_images", "Images that wait for a thread or are in one.")
        self.streams = gauge("ferlab_streams", "Open streams.")
        self.frames = Counter("ferlab_stream_frames", "Frames of streams.", ["result"], registry=registry)
        self.images = Counter("ferlab_images", "Images, streams included.", ["result"], registry=registry)
        self.faces = Counter("ferlab_faces", "Faces by their most probable class.", ["emotion"], registry=registry)
        self.confidence = Histogram(
            "ferlab_confidence", "Confidence of faces, 0..1.", buckets=SHARES, registry=registry
        )
        self._batch = Histogram("ferlab_batch_faces", "Faces per network call.", buckets=FACES, registry=registry)

    def batch(self, faces: int) -> None:
        """Count a network call."""
        self._batch.observe(faces)

    def image(self, faces: Iterable[Face] | None) -> None:
        """Count an image with its faces; None if it could not be read."""
        found = list(faces or ())
        self.images.labels("error" if faces is None else "ok" if found else "no_face").inc()
        for face in found:
            self.faces.labels(face.emotion).inc()
            self.confidence.observe(face.confidence)

    def text(self) -> bytes:
        """Return all metrics; those of all processes, if several share a folder."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)

    def close(self) -> None:
        """Withdraw the gauges of this process."""
        if FOLDER_VARIABLE in os.environ:
            mark_process_dead(os.getpid())
