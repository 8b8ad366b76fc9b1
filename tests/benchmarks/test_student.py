"""Distillation: crops stay beside their photo's answers, and a student learns what its teacher says."""

from itertools import count

import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.accuracy.student import Lessons, by_photo, teach
from training.networks.head import Head
from training.networks.model import to_photos


@given(photos=st.integers(1, 20), views=st.integers(1, 4), batch=st.integers(1, 8))
def test_crops_made_by_batch_and_view_are_ordered_by_photo(photos: int, views: int, batch: int):
    made = [
        torch.arange(begin, min(begin + batch, photos)) * 100 + view
        for begin in range(0, photos, batch)
        for view in range(views)
    ]
    assert by_photo(made, views).tolist() == [[100 * photo + view for view in range(views)] for photo in range(photos)]


def test_a_student_learns_what_its_teacher_says_of_photos_without_labels():
    chance = torch.Generator().manual_seed(1)
    bright = torch.arange(32) % 2
    pixels = torch.randint(0, 100, (32, 2, 32, 32, 3), generator=chance, dtype=torch.uint8)
    pixels += (120 * bright).to(torch.uint8)[:, None, None, None, None]
    embeddings = torch.randn(32, 1, 8, generator=chance).expand(32, 2, 8).clone()
    embeddings[..., 0] = 6 * bright[:, None] - 3
    head = Head(weight=torch.zeros(2, 8).double(), bias=torch.zeros(2).double(), penalty=0.1)
    head.weight[1, 0] = 2
    steps = count()
    lessons = Lessons(pixels=pixels, embeddings=embeddings.half(), cpu_seconds=0.0)
    student = teach(lessons, head, seed=1, cpu_seconds=80, batch=16, clock=lambda: float(next(steps)))
    student.train()  # so few steps leave batch normalisation without statistics of its own
    with torch.no_grad():
        answers = student(to_photos(pixels[:, 0])).argmax(dim=1)
    assert (answers == bright).double().mean() >= 0.9
