"""Reads an exported checkpoint back, so that what is judged is what is shipped."""

from __future__ import annotations

import json
import pathlib

import torch
from safetensors.torch import load_file

import oobleck
import sample
import tokens
import train_dit

SECONDS = "conditioner.conditioners.seconds_total.embedder.embedding."
SECONDS_KEYS = {"0.weights": "weights", "1.weight": "linear.weight",
                "1.bias": "linear.bias"}


def _part(state: dict, prefix: str) -> dict:
    return {k[len(prefix):]: v.float() for k, v in state.items()
            if k.startswith(prefix)}


class Pipeline:
    """Prompt to sound, in PyTorch."""

    def __init__(self, folder: pathlib.Path):
        self.config = json.loads((folder / "model_config.json").read_text())
        self.tokenizer = tokens.Tokenizer(folder / "t5" / "spiece.model")
        state = load_file(folder / "model.safetensors")
        self.model = train_dit.Model(self.tokenizer.model.get_piece_size())
        self.model.dit.load_state_dict(_part(state, "model.model."))
        self.model.t5.load_state_dict(
            _part(load_file(folder / "t5" / "model.safetensors"), ""))
        self.model.seconds.load_state_dict(
            {SECONDS_KEYS[k]: v for k, v in _part(state, SECONDS).items()})
        self.vae = oobleck.nano()
        self.vae.load_state_dict(_part(state, "pretransform.model."))
        self.model.eval()
        self.vae.eval()

    @torch.no_grad()
    def latents(self, prompts: list[str], seconds: list[float], seed: int,
                steps: int, kind: str, cfg: float) -> torch.Tensor:
        torch.manual_seed(seed)
        ids, mask = self.tokenizer(prompts)
        context, glob = self.model.condition(ids, mask, torch.tensor(seconds))
        velocity = sample.guided(self.model.dit, context, glob, cfg)
        noise = torch.randn(len(prompts), 32, 128)
        return sample.sample(velocity, noise, steps, kind)

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.vae.decoder(z[i:i + 1]) for i in range(len(z))])
