"""`python -m ferlab` is the command `ferlab`."""

from ferlab.cli import main

main()
