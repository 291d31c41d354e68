"""`python -m taskmeter`: the command line."""

from taskmeter.cli import main

main()
