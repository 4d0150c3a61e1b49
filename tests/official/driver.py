"""Runs in the official client's own Python: command lines come in as JSON, one a line, and what they said goes out.

The client is imported once and every command runs in a fork of that process, so that a command takes milliseconds and
none sees what another left behind but its files.
"""

import gc
import json
import os
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")  # pkg_resources, of old releases

from rainmaker import rainmaker  # noqa: E402 (after the filter)
from rmaker_lib import configmanager  # noqa: E402

TRUSTING = ("rmaker_lib", "rmaker_cmd", "rmaker_tools")


def trust(ca: str) -> None:
    """Believe one CA instead of the bundle, whoever in the client has its name by now."""
    shipped = configmanager.CERT_FILE
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in TRUSTING and getattr(module, "CERT_FILE", None) == shipped:
            module.CERT_FILE = ca


def command(asked: dict) -> dict:
    """One command line, as a process."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            entered = os.memfd_create("stdin")
            os.write(entered, asked["typed"].encode())
            os.lseek(entered, 0, os.SEEK_SET)
            os.dup2(entered, 0)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115 (ends with the process)
            if asked["ca"]:
                trust(asked["ca"])
            sys.argv = ["esp-rainmaker-cli", *asked["words"]]
            code = 1
            try:
                rainmaker.main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "said": said.read().decode(errors="replace")}


gc.disable()
gc.freeze()  # a command ends before there is garbage to speak of, and need not look at what was imported
for line in sys.stdin:
    sys.stdout.write(json.dumps(command(json.loads(line))) + "\n")
    sys.stdout.flush()
