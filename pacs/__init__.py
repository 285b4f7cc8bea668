"""The product: wiring, command line, processes and the pages' JSON."""

__version__ = "0.1.0"
