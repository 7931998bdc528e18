"""The task of the demo: sums as text."""

from hypothesis import given
from hypothesis import strategies as st

from transferqueue.demo.arithmetic import END, PAD, answer, decode, encode, is_right, question, split_pairs

operands = st.integers(0, 99)


@given(operands, operands)
def test_the_answer_that_is_asked_for_is_right(left: int, right: int):
    assert decode(question((left, right))) == f"{left}+{right}="
    assert decode(answer((left, right))) == str(left + right)
    assert is_right(question((left, right)), answer((left, right)))


@given(operands, operands, st.text("0123456789+=", max_size=4))
def test_any_other_answer_is_wrong(left: int, right: int, said: str):
    assert is_right(question((left, right)), [*encode(said), END]) == (said == str(left + right))


def test_an_answer_that_does_not_end_is_wrong():
    assert not is_right(question((3, 4)), encode("7"))
    assert not is_right(question((3, 4)), encode("77"))
    assert not is_right(question((3, 4)), [*answer((3, 4)), END])


def test_padding_is_no_text():
    assert decode([PAD, PAD, *encode("3+4=")]) == "3+4="


def test_two_digits_hold_pairs_out_of_the_training():
    training, held_out = split_pairs(2, seed=0)
    assert len(held_out) == 1000
    assert set(training).isdisjoint(held_out)
    assert set(training) | set(held_out) == {(left, right) for left in range(100) for right in range(100)}


def test_one_digit_trains_on_all_pairs_and_asks_all():
    training, asked = split_pairs(1, seed=0)
    assert sorted(training) == sorted(asked) == [(left, right) for left in range(10) for right in range(10)]


def test_the_seed_decides_which_pairs_are_held_out():
    assert split_pairs(2, seed=1) == split_pairs(2, seed=1)
    assert split_pairs(2, seed=1) != split_pairs(2, seed=2)
