#!/usr/bin/env python
"""Entry point of every command: `manage.py up`, `manage.py replay`, `manage.py seal`, ..."""

import os
import sys


def data_dir_from(argv: list[str]) -> str | None:
    """The value of `--data-dir`, read before Django starts: it decides which databases the settings name."""
    for position, argument in enumerate(argv):
        if argument.startswith("--data-dir="):
            return argument.removeprefix("--data-dir=")
        if argument == "--data-dir" and position + 1 < len(argv):
            return argv[position + 1]
    return None


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    data_dir = data_dir_from(sys.argv[1:])
    if data_dir is not None:
        os.environ["TALLYWATT_DATA_DIR"] = data_dir
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the environment is set

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
