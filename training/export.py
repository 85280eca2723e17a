"""Writes the trained parts as one checkpoint that `lathe convert` reads.

  python export.py --work /tmp/nano --out ../models/nano

Without a trained part its initial values are written, so that the rest of the
project can be built against the format before training is done.
"""

from __future__ import annotations

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file

import oobleck
import tokens
import train_dit


def config(sampler: str, steps: int, cfg: float) -> dict:
    oobleck_config = {"channels": 16, "c_mults": [1, 2, 4, 8, 16],
                      "strides": [2, 4, 4, 4, 8], "use_snake": True}
    return {
        "model_type": "diffusion_cond",
        "sample_size": 131072,
        "sample_rate": 44100,
        "audio_channels": 2,
        "model": {
            "pretransform": {
                "type": "autoencoder",
                "config": {
                    "encoder": {"type": "oobleck", "config": {
                        "in_channels": 2, **oobleck_config, "latent_dim": 64}},
                    "decoder": {"type": "oobleck", "config": {
                        "out_channels": 2, **oobleck_config, "latent_dim": 32,
                        "final_tanh": False}},
                    "bottleneck": {"type": "vae"},
                    "latent_dim": 32,
                    "downsampling_ratio": 1024,
                    "io_channels": 2,
                },
            },
            "conditioning": {
                "configs": [
                    {"id": "prompt", "type": "t5", "config": {
                        "t5_model_name": "nano", "max_length": tokens.WINDOW}},
                    {"id": "seconds_total", "type": "number", "config": {
                        "min_val": 0, "max_val": 4}},
                ],
                "cond_dim": 192,
            },
            "diffusion": {
                "cross_attention_cond_ids": ["prompt", "seconds_total"],
                "global_cond_ids": ["seconds_total"],
                "type": "dit",
                "diffusion_objective": "rectified_flow",
                "config": {
                    "io_channels": 32, "embed_dim": 192, "depth": 6,
                    "num_heads": 3, "cond_token_dim": 192,
                    "global_cond_dim": 192,
                    "transformer_type": "continuous_transformer",
                    "attn_kwargs": {"qk_norm": "ln"},
                },
            },
            "io_channels": 32,
        },
        "lathe": {"sampler": sampler, "steps": steps, "cfg_scale": cfg},
    }


def half(state: dict) -> dict:
    return {k: v.detach().cpu().half().contiguous() for k, v in state.items()}


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--work", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--sampler", default="euler")
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--cfg", type=float, default=2.0)
    args = p.parse_args()
    torch.manual_seed(0)
    (args.out / "t5").mkdir(parents=True, exist_ok=True)
    spiece = args.out / "t5" / "spiece.model"
    if not spiece.exists():
        tokens.train_vocabulary(spiece)
    vocab = tokens.Tokenizer(spiece).model.get_piece_size()

    vae = oobleck.nano()
    for name in ("vae_tuned.pt", "vae_folded.pt"):
        if (args.work / name).exists():
            vae.load_state_dict(torch.load(args.work / name))
            break
    else:
        if (args.work / "vae.pt").exists():  # not yet folded
            vae.load_state_dict(torch.load(args.work / "vae.pt",
                                           weights_only=False)["model"])
    model = train_dit.Model(vocab)
    if (args.work / "dit.pt").exists():
        model.load_state_dict(torch.load(args.work / "dit.pt",
                                         weights_only=False)["ema"])

    state = {f"model.model.{k}": v for k, v in model.dit.state_dict().items()}
    prefix = "conditioner.conditioners.seconds_total.embedder.embedding."
    state[prefix + "0.weights"] = model.seconds.weights
    state[prefix + "1.weight"] = model.seconds.linear.weight
    state[prefix + "1.bias"] = model.seconds.linear.bias
    state |= {f"pretransform.model.{k}": v
              for k, v in vae.state_dict().items()}
    save_file(half(state), args.out / "model.safetensors.part")
    (args.out / "model.safetensors.part").rename(args.out / "model.safetensors")
    save_file(half(model.t5.state_dict()),
              args.out / "t5" / "model.safetensors.part")
    (args.out / "t5" / "model.safetensors.part").rename(
        args.out / "t5" / "model.safetensors")
    (args.out / "t5" / "config.json").write_text(
        json.dumps(model.t5.config, indent=2) + "\n")
    (args.out / "model_config.json").write_text(json.dumps(
        config(args.sampler, args.steps, args.cfg), indent=2) + "\n")
    total = sum(f.stat().st_size for f in args.out.rglob("*") if f.is_file())
    print(f"{len(state)} tensors, {total / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()
