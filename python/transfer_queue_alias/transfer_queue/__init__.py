"""The peer's module name over ``transferqueue``: the same objects under the old path."""

from transferqueue import __version__

__all__ = ["__version__"]
