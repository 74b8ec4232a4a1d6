"""Train the demo model from nothing: `python -m qwen3cli.demo.train --out FOLDER` (extra `train`: torch and others).

Repeatable: the same seed, stages and thread count give the same examples in the same order. Stages, sizes and rates
are data at the top. It writes a whole checkpoint every few hundred steps, and never looks at the held-out prompts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM

from qwen3cli.demo import tokenizer as vocabulary
from qwen3cli.demo.batches import Batches, Row, render_with
from qwen3cli.demo.skills.mix import draw

SEED: Final = 3
VOCABULARY, SPACED = 1270, 230
SHAPE: Final[dict[str, Any]] = {
    "vocab_size": 1280,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
}
COPYING = {"echo": 8.0, "call": 1.0, "sum": 1.0}
EVERYTHING = {
    "greeting": 3.0, "about": 4.0, "howto": 5.0, "sum": 14.0, "echo": 9.0, "fallback": 8.0,
    "turns": 9.0, "call": 12.0, "relay": 6.0, "unfit": 8.0,
}  # fmt: skip

SUMS = {
    **EVERYTHING,
    "greeting": 6.0,
    "sum": 100.0,
    "echo": 6.0,
    "fallback": 7.0,
    "call": 16.0,
    "unfit": 10.0,
}

WIDER = {
    "greeting": 4.0, "about": 4.0, "howto": 5.0, "wider howto": 3.0, "sum": 20.0, "wider sum": 15.0,
    "echo": 5.0, "wider echo": 16.0, "fallback": 10.0, "wider fallback": 5.0, "turns": 6.0, "wider turns": 10.0,
    "call": 8.0, "wider call": 32.0, "relay": 4.0, "wider relay": 8.0, "unfit": 6.0, "wider unfit": 14.0,
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """STEPS steps on examples drawn with WEIGHTS, the learning rate going straight from FIRST to LAST.

    PLANNED names the stage's random stream (it differs from STEPS where a stage was cut short). A FRESH stage
    starts from the checkpoint that the one before it wrote (weights rounded to bfloat16), with new optimizers.
    """

    steps: int
    weights: dict[str, float]
    first: float
    last: float
    planned: int
    fresh: bool = False


# The sums came last in the second stage (a third of them right after 1,300 steps, all else nearly learnt), so it
# was cut short and the third one is mostly sums. The fourth widens the wordings and the tools (skills/wider.py).
STAGES: Final = (
    Stage(300, COPYING, 3e-3, 2.706e-3, 300),
    Stage(1300, EVERYTHING, 2.706e-3, 1.432e-3, 2700),
    Stage(1500, SUMS, 2e-3, 2e-5, 1500, fresh=True),
    Stage(1600, WIDER, 1.5e-3, 2e-5, 1600, fresh=True),
)
WARM_UP: Final = 60  # steps from nothing to the learning rate of a stage with new optimizers


def loss_of(model: Callable[..., Any], head: torch.Tensor, rows: list[Row]) -> torch.Tensor:
    """Return the mean cross entropy over the replies of ROWS; padding stands right, where causality hides it."""
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
    counted = torch.tensor([[row.prompt <= at + 1 < len(row.ids) for at in range(width)] for row in rows])
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(input_ids=ids, use_cache=False).last_hidden_state[counted]
        logits = hidden @ head.t()
    targets = torch.roll(ids, -1, 1)[counted]
    return functional.cross_entropy(logits.float(), targets)


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the layers and AdamW for the embedding and the norms."""
    matrices = [value for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in model.named_parameters() if value.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=1e-3, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.98), fused=True),
    ]


def set_rate(optimisers: list[torch.optim.Optimizer], stage: Stage, step: int, warming: bool) -> None:
    """Set the learning rate of STEP of STAGE; WARMING: its optimizers are new."""
    rate = stage.first + (stage.last - stage.first) * step / stage.steps
    if warming:
        rate *= min(1.0, (step + 1) / WARM_UP)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate


def configuration(eos: int, end: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return config.json and generation_config.json; EOS ends a turn, END the text, and pads."""
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": end,
        "eos_token_id": eos,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_window_layers": SHAPE["num_hidden_layers"],
        "model_type": "qwen3",
        "rope_scaling": None,
        "rope_theta": 1000000,
        "sliding_window": None,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        **SHAPE,
    }
    generation = {
        "bos_token_id": end,
        "do_sample": True,
        "eos_token_id": [eos, end],
        "pad_token_id": end,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 0.95,
    }
    return config, generation


def write_checkpoint(out: Path, model: Qwen3ForCausalLM, tokenizer: Tokenizer, template: str) -> None:
    """Write the whole checkpoint to the folder OUT, its weights in bfloat16."""
    out.mkdir(parents=True, exist_ok=True)
    first = tokenizer.token_to_id("<|endoftext|>")
    config, generation = configuration(tokenizer.token_to_id("<|im_end|>"), first)
    files = {
        "config.json": config,
        "generation_config.json": generation,
        "tokenizer_config.json": vocabulary.settings(first, template),
        "tokenizer.json": json.loads(tokenizer.to_str()),
    }
    for name, content in files.items():
        indent = None if name == "tokenizer.json" else 2
        text = json.dumps(content, ensure_ascii=False, indent=indent)
        (out / name).write_text(text + "\n", encoding="utf-8")
    weights = {
        name: value.detach().to(torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def new_model() -> Qwen3ForCausalLM:
    """Return the model with fresh weights."""
    config = Qwen3Config(**SHAPE, rope_theta=1000000, attn_implementation="sdpa")
    return Qwen3ForCausalLM(config)


def load_weights(model: Qwen3ForCausalLM, folder: Path) -> None:
    """Put the weights of the checkpoint in FOLDER into MODEL."""
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    model.tie_weights()


class Training:
    """Tokenizer, model and the way through the stages; a stage can be gone again from the one before it."""

    def __init__(self, out: Path, compiled: bool, every: int) -> None:
        self.out, self.every = out, every
        self.template = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
        render, rng = render_with(self.template), Random(SEED)
        sample = (draw(EVERYTHING, rng) for _ in range(6000))
        texts = (render(example) + example.reply for example in sample)
        self.tokenizer = Tokenizer.from_str(vocabulary.build(texts, VOCABULARY, SPACED))
        self.batches, self.model = Batches(self.tokenizer, render), new_model()
        self.body = torch.compile(self.model.model, dynamic=True) if compiled else self.model.model
        self.optimisers = optimizers(self.model)
        self.start = time.monotonic()

    def checkpoint(self, number: int, step: int) -> Path:
        """Return the folder of the checkpoint after STEP of stage NUMBER."""
        return self.out.with_name(f"{self.out.name}-{number}-{step}")

    def write(self, folder: Path) -> None:
        """Write the checkpoint as it is now to FOLDER."""
        write_checkpoint(folder, self.model, self.tokenizer, self.template)

    def step(self, rows: list[Row]) -> float:
        """Learn from one batch and return its loss."""
        loss = loss_of(self.body, self.model.get_input_embeddings().weight, rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return loss.item()

    def run(self, number: int) -> None:
        """Go through stage NUMBER and write its last checkpoint, and one after every so many steps."""
        stage = STAGES[number]
        if stage.fresh:
            load_weights(self.model, self.checkpoint(number - 1, STAGES[number - 1].steps))
            self.optimisers = optimizers(self.model)
        name = json.dumps({"steps": stage.planned, "weights": stage.weights})
        stream = self.batches.stream(stage.weights, f"{SEED}/{number}/{name}")
        for step in range(stage.steps):
            set_rate(self.optimisers, stage, step, warming=number == 0 or stage.fresh)
            loss, done = self.step(next(stream)), step + 1
            if done % 25 == 0:
                elapsed = time.monotonic() - self.start
                print(f"stage {number} {done}/{stage.steps} loss {loss:.4f} {elapsed:.0f} s", flush=True)
            if done == stage.steps or (self.every and done % self.every == 0):
                self.write(self.checkpoint(number, done))


def train(out: Path, threads: int, compiled: bool, every: int, first: int) -> None:
    """Go through all STAGES from number FIRST on and write the checkpoint to OUT."""
    torch.manual_seed(SEED)
    torch.set_num_threads(threads)
    training = Training(out, compiled, every)
    for number in range(first, len(STAGES)):
        training.run(number)
    training.write(out)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the demo model of qwen3cli")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the checkpoint to")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=0, help="steps between intermediate checkpoints")
    parser.add_argument(
        "--stage", type=int, default=0, help="start with this stage, a fresh one, from OUT-..."
    )
    parser.add_argument("--no-compile", action="store_true", help="train without torch.compile")
    arguments = parser.parse_args()
    train(arguments.out, arguments.threads, not arguments.no_compile, arguments.every, arguments.stage)


if __name__ == "__main__":
    main()
