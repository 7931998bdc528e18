"""The transformer of the demo, and the rectangles that it computes on."""

import pytest
import torch

from transferqueue.demo.arithmetic import END, PAD, question
from transferqueue.demo.exam import Exam
from transferqueue.demo.jagged import column_of, from_mask, pad_left, pad_right, row_lists
from transferqueue.demo.model import Transformer, generate, token_log_probs
from transferqueue.demo.warm_start import warm_start

PAIRS = [(3, 4), (17, 5), (99, 99), (0, 0), (60, 7)]


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(digits=2)


@pytest.fixture
def questions(model: Transformer) -> torch.Tensor:
    return pad_left(column_of([question(pair) for pair in PAIRS]), model.question_width)


def test_jagged_rows_survive_the_rectangle():
    rows = [[1, 2, 3], [4], [5, 6]]
    column = column_of(rows)
    assert row_lists(column) == rows
    assert pad_left(column, 4).tolist() == [[PAD, 1, 2, 3], [PAD, PAD, PAD, 4], [PAD, PAD, 5, 6]]
    right = pad_right(column, 4)
    assert right.tolist() == [[1, 2, 3, PAD], [4, PAD, PAD, PAD], [5, 6, PAD, PAD]]
    assert row_lists(from_mask(right, right != PAD)) == rows


def test_log_probs_of_the_draw_are_those_of_the_model(model: Transformer, questions: torch.Tensor):
    answers, drawn = generate(model, questions, torch.Generator().manual_seed(1))
    torch.testing.assert_close(token_log_probs(model, questions, answers), drawn, atol=1e-5, rtol=1e-5)
    assert (drawn[answers != PAD] < 0).all()
    assert (drawn[answers == PAD] == 0).all()


def test_an_answer_has_one_end_and_only_padding_behind_it(model: Transformer, questions: torch.Tensor):
    answers, _ = generate(model, questions.repeat(40, 1), torch.Generator().manual_seed(2))
    assert (answers == END).any()
    for row in answers.tolist():
        kept = [token for token in row if token != PAD]
        assert row == kept + [PAD] * (len(row) - len(kept))
        assert END not in kept[:-1]


def test_the_rows_of_a_batch_do_not_disturb_each_other(model: Transformer, questions: torch.Tensor):
    together = model(questions)
    for row in range(len(questions)):
        torch.testing.assert_close(model(questions[row : row + 1])[0], together[row], atol=1e-5, rtol=1e-5)


def test_a_token_sees_nothing_behind_it(model: Transformer, questions: torch.Tensor):
    changed = questions.clone()
    changed[:, -1] = 0
    torch.testing.assert_close(model(questions)[:, :-1], model(changed)[:, :-1])


def test_the_exam_counts_exact_answers(model: Transformer):
    exam = Exam(PAIRS, model)
    said, _ = generate(model, exam.questions)
    assert exam.accuracy_of(model) == 0.0  # random weights know nothing
    exam.answers[:2] = said[:2]
    assert exam.accuracy_of(model) == pytest.approx(2 / 5)


def test_the_warm_start_stops_at_its_mark():
    torch.manual_seed(0)
    model = Transformer(digits=1)
    pairs = [(left, right) for left in range(3) for right in range(3)]
    exam = Exam(pairs, model)
    looks = list(warm_start(model, exam, exam, target=0.5, seed=0))
    assert looks[-1][1] >= 0.5 > max(accuracy for _, accuracy in looks[:-1])
    assert exam.accuracy_of(model) == looks[-1][1]
