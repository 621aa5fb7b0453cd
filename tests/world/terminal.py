"""A program on a terminal of its own, and what a person would see there."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

from .process import Failed

ENTER = "\r"
ESCAPE = "\x1b"
# Longer than a terminal's own keys take to arrive.
PAUSE = 0.2


class Terminal:
    """A pseudo-terminal with a program on it, drawn by pyte. It answers no questions: a serial line
    may have nobody who does, and knows no size either."""

    def __init__(
        self, arguments, columns=80, rows=25, term="vt100", env=None, knows_size=True
    ):
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._master, slave = os.openpty()
        if knows_size:
            self._resize(slave, columns, rows)
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=(env or os.environ) | {"TERM": term},
            start_new_session=True,
        )
        os.close(slave)

    @staticmethod
    def _resize(descriptor, columns, rows):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        """As a window does it."""
        self.screen.resize(rows, columns)
        self._resize(self._master, columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def _read(self, seconds):
        ready, _, _ = select.select([self._master], [], [], seconds)
        if ready:
            # A program that ended leaves EIO behind.
            with contextlib.suppress(OSError):
                self._stream.feed(os.read(self._master, 65536))

    def text(self):
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, *words, gone=None, timeout=30):
        """Until all words are on the screen, and what is to be `gone` is not; answers the screen."""
        deadline = time.monotonic() + timeout
        while True:
            self._read(0.1)
            shown = self.text()
            if all(word in shown for word in words) and (gone is None or gone not in shown):
                return shown
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Failed(f"not on the screen: {words}\n{shown}")

    def press(self, keys):
        """Types; a lone Esc is told apart by the pause behind it."""
        os.write(self._master, keys.encode())
        if keys.endswith(ESCAPE):
            time.sleep(PAUSE)

    def end(self, timeout=15):
        """Waits for the program's end; answers its exit code."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            self._read(0.1)
            if time.monotonic() > deadline:
                raise Failed(f"the program did not end\n{self.text()}")
        return self.process.returncode

    def close(self):
        """Hangs up."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._master)
