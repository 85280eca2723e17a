"""Captions to token ids, exactly as the C++ program does it."""

from __future__ import annotations

import io
import pathlib
import random

import sentencepiece
import torch

import sounds

WINDOW = 32


def train_vocabulary(path: pathlib.Path, size: int = 200) -> None:
    """A unigram vocabulary of the captions, with T5's special ids. Letters,
    digits and plain punctuation are always there, so any prompt has ids."""
    _, captions = sounds.dataset(8000, seed=77)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789#-.,!?'"
    rng = random.Random(5)
    captions += [" ".join(rng.choices(letters, k=12)) for _ in range(400)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions), model_writer=model,
        model_type="unigram", vocab_size=size, hard_vocab_limit=False,
        character_coverage=1.0, required_chars=letters,
        normalization_rule_name="nmt_nfkc_cf",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1,
        minloglevel=2)
    path.write_bytes(model.getvalue())


class Tokenizer:
    def __init__(self, path: pathlib.Path):
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def __call__(self, texts: list[str]):
        """ids and mask, int64 [len(texts), WINDOW]."""
        ids = torch.zeros(len(texts), WINDOW, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, text in enumerate(texts):
            row = self.model.encode(text.strip())[:WINDOW - 1] + [1]
            ids[i, :len(row)] = torch.tensor(row)
            mask[i, :len(row)] = 1
        return ids, mask
