"""Run by itself: many espsecure encryptions and decryptions in one process. Reads JSON lines, writes JSON lines."""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path


def main() -> None:
    import espsecure  # this program is a process of its own

    with tempfile.TemporaryDirectory() as folder:
        key, data, done = (Path(folder) / name for name in ("key", "data", "done"))
        for line in sys.stdin:
            case = json.loads(line)
            key.write_bytes(bytes.fromhex(case["key"]))
            data.write_bytes(bytes.fromhex(case["data"]))
            options = ["--keyfile", str(key), "--output", str(done), "--address", hex(case["address"])]
            options += ["--flash-crypt-conf", hex(case["config"])] if case["chip"] == "esp32" else ["--aes-xts"]
            answer = {}
            for verb in ("encrypt", "decrypt"):
                with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                    espsecure.main([f"{verb}-flash-data", *options, str(data)])
                answer[verb] = done.read_bytes().hex()
                done.unlink()
            sys.stdout.write(json.dumps(answer) + "\n")


main()
