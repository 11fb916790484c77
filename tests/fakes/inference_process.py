"""A program in the place of `inference_loop` that misbehaves as its model's folder is called."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from deid_node.node.models.frames import read_message, write_message


def main(folder: Path) -> None:
    """Answer once as the name says: each start is noted in the folder."""
    starts = folder / "starts"
    with starts.open("a") as file:
        file.write(f"{os.getpid()}\n")
    n_starts = len(starts.read_text().splitlines())
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    if folder.name == "unusable":
        write_message(answers, {"unusable": "model unusable is damaged"})
        return
    if folder.name == "unready":
        return
    write_message(answers, {"ready": True})
    while True:
        _, (image, *_) = read_message(requests)
        if folder.name == "crashes" or (folder.name == "crashes once" and n_starts == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if folder.name == "fails":
            write_message(answers, {"failed": "RuntimeError"})
            continue
        if folder.name == "hangs":
            time.sleep(600)
        if folder.name == "babbles":
            answers.write(b"\xff" * 64)
            answers.flush()
            continue
        write_message(answers, {"cpu_seconds": 1.0, "peak_bytes": 2}, [image.astype(np.uint8)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
