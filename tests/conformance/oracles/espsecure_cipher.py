"""Run by itself: many espsecure encryptions in one process. Reads JSON lines, writes JSON lines."""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path


def main() -> None:
    import espsecure  # this program is a process of its own

    with tempfile.TemporaryDirectory() as folder:
        key, plain, cipher = (Path(folder) / name for name in ("key", "plain", "cipher"))
        for line in sys.stdin:
            case = json.loads(line)
            key.write_bytes(bytes.fromhex(case["key"]))
            plain.write_bytes(bytes.fromhex(case["plain"]))
            words = ["encrypt-flash-data", "--keyfile", str(key), "--output", str(cipher)]
            words += ["--address", hex(case["address"])]
            words += ["--flash-crypt-conf", hex(case["config"])] if case["chip"] == "esp32" else ["--aes-xts"]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                espsecure.main([*words, str(plain)])
            sys.stdout.write(json.dumps({"cipher": cipher.read_bytes().hex()}) + "\n")
            cipher.unlink()


main()
