"""``python -m buildtool``: the gpubuild command."""

from buildtool.cli.main import main

main()
