"""The task: sums as text. A question is ``"7+45="``, its answer ``"52"`` and an end mark."""

from __future__ import annotations

import random
from collections.abc import Sequence

SYMBOLS = "0123456789+="
END = len(SYMBOLS)
PAD = END + 1
#: A model reads all of them, and can say all but PAD.
READABLE, SAYABLE = PAD + 1, END + 1
#: Pairs that no stage ever trains on, where there are enough pairs to spare some.
HELD_OUT = 1000

Pair = tuple[int, int]


def encode(text: str) -> list[int]:
    """The tokens of `text`, one per character."""
    return [SYMBOLS.index(symbol) for symbol in text]


def decode(tokens: Sequence[int]) -> str:
    """The text up to the end mark; padding is skipped."""
    text = []
    for token in tokens:
        if token == END:
            break
        if token != PAD:
            text.append(SYMBOLS[token])
    return "".join(text)


def question(pair: Pair) -> list[int]:
    """The tokens that ask for the sum of `pair`."""
    return encode(f"{pair[0]}+{pair[1]}=")


def answer(pair: Pair) -> list[int]:
    """The tokens of the right answer, with the end mark."""
    return [*encode(str(sum(pair))), END]


def is_right(asked: Sequence[int], said: Sequence[int]) -> bool:
    """Whether `said` is the sum that `asked` asks for, and ended."""
    left, right = decode(asked).rstrip("=").split("+")
    return list(said) == answer((int(left), int(right)))


def longest_question(digits: int) -> int:
    """Tokens of the longest question."""
    return 2 * digits + 2


def longest_answer(digits: int) -> int:
    """Tokens of the longest answer, end mark included."""
    return digits + 2


def split_pairs(digits: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on and pairs to be judged on.

    Two digits: 9000 and 1000 different pairs. One digit has 100 pairs only, too few to spare any: both are all of them.
    """
    pairs = [(left, right) for left in range(10**digits) for right in range(10**digits)]
    random.Random(seed).shuffle(pairs)
    if len(pairs) < 2 * HELD_OUT:
        return pairs, pairs
    return pairs[HELD_OUT:], pairs[:HELD_OUT]
