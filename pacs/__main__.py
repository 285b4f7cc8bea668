"""`python -m pacs` is `pacs`."""

from pacs.cli import main

main()
