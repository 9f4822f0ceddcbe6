"""One module a command: its first line is its help, `run(argv)` returns the exit code. Modules with `_` are shared."""
