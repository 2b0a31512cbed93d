#!/usr/bin/env python3
"""Command line of sandfly; runs itself with the project's own interpreter when there is one."""

import os
import sys
from pathlib import Path


def use_project_interpreter() -> None:
    """Start again under .venv, so that `./manage.py` works from any shell."""
    python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - our own interpreter, our own arguments


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sandfly_web.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the interpreter is chosen
    except ImportError:
        sys.exit("sandfly's packages are not installed here: run `make venv` first.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    use_project_interpreter()
    main()
