"""Makes a pinned Python environment, once, and prints its interpreter.

    python3 environment.py TARGET_DIRECTORY [REQUIREMENTS]

The requirements are a file beside this one: `requirements.txt`, those of the tests and notebooks,
unless told otherwise. The environment lies in TARGET_DIRECTORY/python-<hash>, where the hash covers the requirements and
the interpreter. Processes that ask at the same time wait for the first one. An environment that was
not finished (its marker is missing) is made anew. Needs nothing beyond the standard library.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)


def main() -> None:
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        sys.exit(f"python3 is {sys.version.split()[0]}, but the tests need {wanted} or newer")
    target = Path(sys.argv[1]).resolve()
    requirements = SCRIPTS / (sys.argv[2] if len(sys.argv) > 2 else "requirements.txt")
    target.mkdir(parents=True, exist_ok=True)
    folder = target / f"python-{fingerprint(requirements)}"
    marker = folder / ".complete"
    if not marker.exists():
        with open(target / ".python-lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not marker.exists():
                make(folder, requirements)
                marker.touch()
    print(interpreter(folder))


def fingerprint(requirements: Path) -> str:
    """Changes with whatever makes an existing environment useless."""
    digest = hashlib.sha256(requirements.read_bytes())
    digest.update(f"{sys.version}{sysconfig.get_platform()}{sys.base_prefix}".encode())
    return digest.hexdigest()[:12]


def interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def make(folder: Path, requirements: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    print(f"making the Python environment {folder} (once)", file=sys.stderr, flush=True)
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"python3 cannot make virtual environments (on Debian, install python3-venv): {error}")
    # The requirements are complete, so that nothing is left for pip to resolve.
    command = [interpreter(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-input", "--no-deps", "--no-compile", "--requirement", requirements]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    finished = subprocess.run(command, stdout=sys.stderr, env=clean, check=False)
    if finished.returncode != 0:
        sys.exit(f"pip could not install {requirements}")


if __name__ == "__main__":
    main()
