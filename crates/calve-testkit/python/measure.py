"""Runs a command to its end and prints what it cost as one JSON document.

    measure.py COMMAND [ARGUMENT ...]

Printed: `exit`, `wall_seconds`, `cpu_seconds` (user and system), `peak_rss_bytes`, `stdout` and
`stderr` as text.
"""

import json
import os
import subprocess
import sys
import tempfile
import time


def main() -> None:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(sys.argv[1:], stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - start
        stdout.seek(0)
        stderr.seek(0)
        print(
            json.dumps(
                {
                    "exit": os.waitstatus_to_exitcode(status),
                    "wall_seconds": round(wall_seconds, 3),
                    "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
                    # Linux counts in KiB.
                    "peak_rss_bytes": usage.ru_maxrss * 1024,
                    "stdout": stdout.read().decode(errors="replace"),
                    "stderr": stderr.read().decode(errors="replace"),
                }
            )
        )


if __name__ == "__main__":
    main()
