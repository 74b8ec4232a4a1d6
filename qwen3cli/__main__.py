"""The entry point: `qwen3` and `python -m qwen3cli`."""

import sys


def main() -> None:
    """Run the program; a Ctrl-C while its modules still load ends it like one later."""
    try:
        from qwen3cli.cli import run

        run()
    except KeyboardInterrupt:
        # `ExitCode.INTERRUPTED`, which may not be loaded yet.
        sys.exit(130)


if __name__ == "__main__":
    main()
