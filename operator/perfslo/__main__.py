"""`perfslo <command>`: hands over to the module of that name in `perfslo.cli`."""

import importlib
import pkgutil
import sys

from perfslo import __version__, cli
from perfslo.cli._name import called


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code: 2 when there is no such command."""
    command, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in {"-h", "--help", "help"}:
        print(_help())
        return 0
    if command == "--version":
        print(f"perfslo {__version__}")
        return 0
    if command not in _commands():
        print(f"{called()}: there is no command {command!r}\n\n{_help()}", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"perfslo.cli.{command}").run(rest))


def _commands() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(cli.__path__) if not module.name.startswith("_"))


def _help() -> str:
    lines = [f"usage: {called()} COMMAND [--help] ...", ""]
    for command in _commands():
        summary = (importlib.import_module(f"perfslo.cli.{command}").__doc__ or "").partition("\n")[0]
        lines.append(f"  {command:<10}{summary}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
