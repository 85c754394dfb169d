"""`WS /v1/stream`: analyze the newest frame of a video stream, and drop the frames that arrive meanwhile."""

import asyncio
import time
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from ferlab.predict.prediction import Prediction
from ferlab.predict.tracking import Tracker
from ferlab.serve.engine import Engine
from ferlab.serve.metrics import Metrics
from ferlab.serve.refusals import Refusal
from ferlab.serve.uploads import Upload
from ferlab.serve.wire import FrameResponse, TrackedFace, face_result

SMOOTH = 0.5  # seconds, time constant of the moving average of the probabilities
BUSY_PAUSE = 0.2  # seconds to wait while the queue is full
UNSUPPORTED_DATA = 1003  # close code of WebSockets


@dataclass(frozen=True, kw_only=True)
class ReceivedFrame:
    """A frame as it arrived.

    Args:
        index: its index among all received frames, from 0.
        seconds: when it arrived, on the monotonic clock.
        content: the bytes of the image file.
    """

    index: int
    seconds: float
    content: bytes


class Stream:
    """One accepted WebSocket, with the faces that are tracked in it.

    Args:
        websocket: the connection.
        engine: what predicts.
        metrics: where frames are counted.
        min_confidence: threshold, 0..1; faces below it have no emotion.
    """

    def __init__(self, websocket: WebSocket, engine: Engine, metrics: Metrics, min_confidence: float) -> None:
        self._websocket, self._engine, self._metrics = websocket, engine, metrics
        self._min_confidence = min_confidence
        self._tracker = Tracker(SMOOTH)
        self._size: tuple[int, int] | None = None
        self._newest: ReceivedFrame | None = None
        self._arrived = asyncio.Event()
        self._received = self._dropped = 0
        self._ended = False

    async def run(self) -> None:
        """Answer frames until the client closes the connection."""
        receiving = asyncio.create_task(self._receive())
        try:
            while frame := await self._next():
                await self._answer(frame)
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _receive(self) -> None:
        """Keep the newest frame, until the client closes the connection or sends text."""
        try:
            while (message := await self._websocket.receive())["type"] == "websocket.receive":
                content = message.get("bytes")
                if content is None:
                    await self._websocket.close(UNSUPPORTED_DATA, "Send each frame as one binary JPEG or WebP message.")
                    return
                if self._newest:
                    self._drop()
                self._newest = ReceivedFrame(index=self._received, seconds=time.monotonic(), content=content)
                self._received += 1
                self._arrived.set()
        finally:
            self._ended = True
            self._arrived.set()

    async def _next(self) -> ReceivedFrame | None:
        """Wait for a frame. Returns None after the end of the stream."""
        await self._arrived.wait()
        self._arrived.clear()
        frame, self._newest = self._newest, None
        return None if self._ended else frame

    def _drop(self) -> None:
        self._dropped += 1
        self._metrics.frames.labels("dropped").inc()

    async def _answer(self, frame: ReceivedFrame) -> None:
        upload = Upload(name="frame", content=frame.content)
        try:
            [result] = await self._engine.predict([upload])
        except Refusal:  # the queue is full
            self._drop()
            await asyncio.sleep(BUSY_PAUSE)
            return
        self._metrics.frames.labels("analyzed").inc()
        self._metrics.image(None if isinstance(result, str) else result.faces)
        response = self._response(frame, result)
        await self._websocket.send_text(response.model_dump_json(by_alias=True))

    def _response(self, frame: ReceivedFrame, result: Prediction | str) -> FrameResponse:
        milliseconds = 1000 * (time.monotonic() - frame.seconds)
        if isinstance(result, str):
            return FrameResponse(frame=frame.index, dropped=self._dropped, ms=milliseconds, error=result)
        return FrameResponse(
            frame=frame.index,
            width=result.width,
            height=result.height,
            faces=self._tracked(frame, result),
            dropped=self._dropped,
            ms=milliseconds,
        )

    def _tracked(self, frame: ReceivedFrame, prediction: Prediction) -> list[TrackedFace]:
        size = (prediction.width, prediction.height)
        if self._size and self._size != size:
            self._tracker.rescale(size[0] / self._size[0], size[1] / self._size[1])
        self._size = size
        numbered = self._tracker.update(prediction.faces, frame.seconds)
        return [
            TrackedFace(track=number, **dict(face_result(face, self._min_confidence)))
            for number, face in numbered.items()
        ]
