"""`python -m tfmusic` is the command `tfmusic`."""

from tfmusic.cli import main

main()
