"""The functions of the package's root and the state behind them, for type checkers."""

from typing import Any

from transferqueue import *

_TQ_CLIENT: Any
_TQ_CONTROLLER: Any
_TQ_STORAGE: Any
