"""What a process prints, on its way from reader threads to a log file and to whoever follows it line by line."""

from __future__ import annotations

import codecs
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar

from harness.errors import ResultsError

Stream = Literal["stdout", "stderr"]
Chunk = tuple[Stream, bytes]
T = TypeVar("T")

CHUNK = 1 << 16  # bytes read at once
WAITING = 64  # chunks that may wait for the reader's consumer: 4 MiB
LINE_LIMIT = 1 << 16  # characters of one line that are passed on; the rest of it goes to the log alone
# Windows interrupts no wait for a lock: Ctrl-C counts when the wait is over. Seconds.
INTERRUPTIBLE = 0.2 if sys.platform == "win32" else float("inf")
LOG_LIMIT = 64 << 20  # characters of one log; a process that prints without end must not fill the disk


class Sink(Protocol):
    """Takes what a process prints."""

    def write(self, stream: Stream, data: bytes) -> None:
        """Take some bytes of a stream."""


class Lines:
    """Cuts a stream of bytes into lines of text: UTF-8, wrong bytes replaced, long lines cut at `LINE_LIMIT`."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take more text; every line that is now complete is passed on without its end."""
        *whole, last = text.split("\n")
        for line in whole:
            self._extend(line)
            self.end()
        self._extend(last)

    def end(self, *, last: bool = False) -> None:
        """Pass the present line on; at the very end only if there is one."""
        line, self._rest = self._rest, ""
        if line or not last:
            self._on_line(line.removesuffix("\r"))

    def _extend(self, text: str) -> None:
        self._rest += text[: LINE_LIMIT - len(self._rest)]


class Tee:
    """Writes both streams to a log file as UTF-8 and passes the lines of stdout on.

    Raises ResultsError when the log can't be written.
    """

    def __init__(self, log: Path, on_line: Callable[[str], None]) -> None:
        self._path = log
        self._lines = Lines(on_line)
        utf8 = codecs.getincrementaldecoder("utf-8")
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {"stdout": utf8("replace"), "stderr": utf8("replace")}
        self._partial: dict[Stream, str] = {"stdout": "", "stderr": ""}
        self._written = 0
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._file = log.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise self._failure(error) from error

    def write(self, stream: Stream, data: bytes) -> None:
        """Log the data; pass on what they complete of stdout's lines."""
        self._take(stream, self._decoders[stream].decode(data))

    def finish(self) -> None:
        """Take the streams as ended: bytes that wait for the rest of a character, a last line without its end."""
        for stream, decoder in self._decoders.items():
            self._take(stream, decoder.decode(b"", final=True))
        self._log_partial()
        self._lines.end(last=True)

    def _take(self, stream: Stream, text: str) -> None:
        """Log what completes a line, so that the streams mix by lines, and pass stdout on."""
        whole, newline, rest = (self._partial[stream] + text).rpartition("\n")
        if len(rest) > LINE_LIMIT:
            whole, rest = f"{whole}{newline}{rest}", ""
            newline = ""
        self._partial[stream] = rest
        if whole or newline:
            self._log(whole + newline)
        if stream == "stdout":
            self._lines.feed(text)

    def _log_partial(self) -> None:
        for stream, text in self._partial.items():
            self._partial[stream] = ""
            if text:
                self._log(text)

    def _log(self, text: str) -> None:
        before, self._written = self._written, self._written + len(text)
        try:
            self._file.write(text[: max(0, LOG_LIMIT - before)])
            if before <= LOG_LIMIT < self._written:
                self._file.write(f"\n[the log ends here: more than {LOG_LIMIT >> 20} Mi characters]\n")
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> ResultsError:
        problem = f"log {self._path} can't be written: {error.strerror or error}"
        return ResultsError(problem, "Make room there, or name another folder with --results.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                with suppress(ResultsError):  # the error under way says more
                    self._log_partial()
            self._file.close()
        except OSError as failure:
            if error is None:
                raise self._failure(failure) from failure


class Collected:
    """Keeps what a short program prints, at most `LOG_LIMIT` bytes of each stream."""

    def __init__(self) -> None:
        self._data: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}

    def write(self, stream: Stream, data: bytes) -> None:
        """Keep the data."""
        kept = self._data[stream]
        kept += data[: LOG_LIMIT - len(kept)]

    def data(self, stream: Stream) -> bytes:
        """Return what is kept of a stream."""
        return bytes(self._data[stream])


def utf8(data: bytes) -> str:
    """Return bytes as UTF-8, wrong ones replaced."""
    return data.decode("utf-8", errors="replace")


class Pump(Generic[T]):
    """Brings what other threads read to the thread that waits, so that sinks and callbacks run in that thread alone.

    The threads are daemons and never joined: a stream that somebody holds open for ever costs a sleeping thread, not
    the run.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._events: Queue[Chunk | BaseException | None] = Queue(WAITING)  # None: a stream or the process ended
        self._open_streams = 0
        self._abandoned = threading.Event()
        self.ended = threading.Event()
        self.end: T | None = None

    def read(self, chunks: Iterator[Chunk]) -> None:
        """Pass these chunks to the sink as they come."""
        self._open_streams += 1
        threading.Thread(target=self._read, args=(chunks,), daemon=True).start()

    def watch(self, wait: Callable[[], T]) -> None:
        """Call `wait`, which returns when the process has ended; what it returns becomes `end`."""
        threading.Thread(target=self._watch, args=(wait,), daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Feed the sink until the process has ended, at most so long; return whether it has ended.

        Raises what `wait` of the watcher, a reader or the sink raised.
        """
        deadline = time.monotonic() + seconds
        while not self.ended.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                self._take(self._events.get(timeout=min(left, INTERRUPTIBLE)))
            except Empty:
                continue
        return self.ended.is_set()

    def drain(self, *, quiet: float, at_most: float) -> None:
        """Feed the sink with what is left until all streams have ended; then leave them alone.

        A stream that somebody else holds open is given up when nothing came for `quiet` seconds.
        """
        deadline = time.monotonic() + at_most
        try:
            while self._open_streams and time.monotonic() < deadline:
                self._take(self._events.get(timeout=quiet))
        except Empty:
            pass
        finally:
            self._abandoned.set()

    def _take(self, event: Chunk | BaseException | None) -> None:
        if isinstance(event, BaseException):
            raise event
        if event is not None:
            stream, data = event
            if data:
                self._sink.write(stream, data)
            else:
                self._open_streams -= 1

    def _read(self, chunks: Iterator[Chunk]) -> None:
        try:
            for chunk in chunks:
                self._put(chunk)
                if self._abandoned.is_set():
                    return
        except (OSError, ValueError):
            pass  # the stream was closed under the reader: its end
        finally:
            self._put(("stdout", b""))

    def _watch(self, wait: Callable[[], T]) -> None:
        try:
            self.end = wait()
        except Exception as error:  # carried to the waiting thread, which raises it
            self._put(error)
        self.ended.set()
        self._put(None)

    def _put(self, event: Chunk | BaseException | None) -> None:
        while not self._abandoned.is_set():
            try:
                return self._events.put(event, timeout=0.2)
            except Full:
                continue
        return None
