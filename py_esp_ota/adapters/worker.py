"""A process that does shards: ``python -m py_esp_ota.adapters.worker``, started by ``adapters/processes.py``.

Work stands first on its standard input, then the numbers of shards; on its standard output are the answers. It ends
when its input does: with whoever started it, however that ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from py_esp_ota.work import Packed


def main() -> None:
    """Do shards until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for who started us
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the work prints is no answer
    sys.path[:] = pickle.load(asked)  # noqa: S301 - from the process that started this one
    packed: Packed = pickle.load(asked)  # noqa: S301
    answer = packed.worker()
    while line := asked.readline():
        pickle.dump(answer(int(line)), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
