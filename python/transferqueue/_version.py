"""The version: PEP 440, the only place where it is written."""

__version__ = "0.2.0"
