"""The command `serve`: one module a group of subcommands.

    run.py      run: an application or config file, here, until Ctrl-C; --reload
    session.py  start, deploy, status, config, shutdown: an instance that stands, reached through its session or over REST
    build.py    build: write a config file
    target.py   how those reach an instance

Each has `add(commands)`, which adds its parsers; a parser's default `act` is called with what was given and returns the exit code.
"""
