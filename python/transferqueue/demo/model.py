"""A small transformer that reads and continues sums.

Questions are padded on the left and answers on the right, so that the ``=`` is always at the same position: a rectangle of
`longest_question` + `longest_answer` tokens, which a model this small computes faster than anything ragged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from transferqueue.demo.arithmetic import END, PAD, READABLE, SAYABLE, longest_answer, longest_question

WIDTH, LAYERS, HEADS = 64, 2, 8


class Block(nn.Module):
    """Causal self-attention and a two-layer network, each added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_attention, self.norm_network = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.project_in, self.project_out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.network = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Shape [B, T, WIDTH] in and out."""
        heads = self.project_in(self.norm_attention(x)).unflatten(2, (3, HEADS, WIDTH // HEADS))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.project_out(seen.transpose(1, 2).flatten(2))
        return x + self.network(self.norm_network(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """The policy, about 100 000 parameters.

    Parameters
    ----------
    digits : int
        Digits of an operand; sets how many positions there are.
    """

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.question_width, self.answer_width = longest_question(digits), longest_answer(digits)
        self.tokens = nn.Embedding(READABLE, WIDTH)
        self.positions = nn.Parameter(torch.empty(self.question_width + self.answer_width, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, SAYABLE)
        for table in (self.tokens.weight, self.positions):
            nn.init.normal_(table, std=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probs of the token after each position: [B, T] int64 to [B, T, SAYABLE]."""
        x = self.tokens(tokens) + self.positions[: tokens.shape[1]]
        return functional.log_softmax(self.head(self.norm(self.blocks(x))), dim=-1)


def token_log_probs(model: Transformer, questions: Tensor, answers: Tensor) -> Tensor:
    """The log-prob of each token of `answers` [B, R] after `questions` [B, Q]; 0 where an answer is padding."""
    log_probs: Tensor = model(torch.cat([questions, answers[:, :-1]], dim=1))[:, questions.shape[1] - 1 :]
    said = answers.clamp(max=END)
    return log_probs.gather(2, said[..., None])[..., 0].masked_fill(answers == PAD, 0.0)


@torch.no_grad()
def generate(model: Transformer, questions: Tensor, draw: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Answer `questions` [B, Q]; without `draw` the likeliest token is taken each time.

    Returns
    -------
    answers : Tensor [B, answer_width], int64
        PAD after the end mark.
    log_probs : Tensor [B, answer_width], float32
        Of each token when it was drawn; 0 at padding.
    """
    text, log_probs = questions, []
    ended = torch.zeros(len(questions), dtype=torch.bool)
    for _ in range(model.answer_width):
        choices = model(text)[:, -1]
        token = choices.argmax(-1) if draw is None else torch.multinomial(choices.exp(), 1, generator=draw)[:, 0]
        log_probs.append(choices.gather(1, token[:, None])[:, 0].masked_fill(ended, 0.0))
        text = torch.cat([text, token.masked_fill(ended, PAD)[:, None]], dim=1)
        ended = ended | (token == END)
    return text[:, questions.shape[1] :], torch.stack(log_probs, dim=1)


def accuracy(model: Transformer, questions: Tensor, answers: Tensor) -> float:
    """The share of `questions` [B, Q] that greedy decoding answers with exactly `answers` [B, answer_width]."""
    return float((generate(model, questions)[0] == answers).all(dim=1).float().mean())
