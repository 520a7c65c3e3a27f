"""The LightningModule: Pythia's shapes, initialisation, optimizer and schedule; and resuming exactly."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from transformers import AutoTokenizer

from observatory.train import GPTNeoX, Mixture, Source, SyntheticData
from observatory.train.module import decay_groups, learning_rate_share

# Lightning asks torch's tree in a way that torch has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")

TINY = {"hidden_size": 16, "layers": 2, "heads": 2, "context": 32}


def tiny(**settings: Any) -> GPTNeoX:
    return GPTNeoX(vocab_size=512, **{**TINY, "seed": 0, **settings})


def trainer(folder: Path, steps: int, **settings: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"enable_checkpointing": False, **settings},
    )


def data(**settings: Any) -> SyntheticData:
    return SyntheticData(**{"sequence_length": 32, "batch_size": 2, "vocab_size": 512, **settings})


@pytest.mark.parametrize(
    ("size", "parameters"), [("14m", 14_067_712), ("31m", 30_494_720), ("70m", 70_426_624), ("160m", 162_322_944)]
)
def test_pythia_shapes_have_the_published_number_of_parameters(size: str, parameters: int) -> None:
    with torch.device("meta"):
        model = GPTNeoX.pythia(size).model
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_an_unknown_shape_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no Pythia shape '1t' here; there are 14m, 31m"):
        GPTNeoX.pythia("1t")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": 3}, "hidden_size 16 is not divisible by 3 heads"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"warmup_share": 1.5}, "warmup_share is a share between 0 and 1"),
        ({"final_share": -0.1}, "final_share is a share between 0 and 1"),
    ],
)
def test_bad_settings_are_refused_at_once(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny(**settings)


def test_weights_start_as_in_gpt_neox() -> None:
    model = GPTNeoX.pythia("14m", vocab_size=2048, seed=0).model
    block = model.gpt_neox.layers[3]
    small, wang = math.sqrt(2 / (5 * 128)), 2 / (6 * math.sqrt(128))
    for weight, std in (
        (model.gpt_neox.embed_in.weight, small),
        (model.lm_head.weight, small),
        (block.attention.query_key_value.weight, small),
        (block.mlp.dense_h_to_4h.weight, small),
        (block.attention.dense.weight, wang),
        (block.mlp.dense_4h_to_h.weight, wang),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.03)
    assert block.mlp.dense_h_to_4h.bias.abs().max() == 0


def test_the_seed_decides_the_weights_and_touches_no_other_randomness() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = tiny(), tiny(), tiny(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    weights = [next(module.model.parameters()) for module in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_only_matrices_decay() -> None:
    model = tiny().model
    decayed, spared = decay_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all("bias" in names[id(p)] or "norm" in names[id(p)] for p in spared["params"])
    assert not any("bias" in names[id(p)] or "norm" in names[id(p)] for p in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_the_learning_rate_rises_and_falls_as_a_cosine() -> None:
    shares = [learning_rate_share(step, 1000, 0.01, 0.1) for step in range(1001)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == 1
    assert shares[10] == 1
    assert shares[505] == pytest.approx(0.55)
    assert shares[1000] == pytest.approx(0.1)
    assert max(b - a for a, b in pairwise(shares[10:])) <= 0


def test_a_run_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the Trainer needs max_steps"):
        trainer(tmp_path, -1, max_epochs=1).fit(tiny(), data())


def test_the_loss_falls_and_the_tokenizer_stays_with_the_run(tmp_path: Path) -> None:
    run = trainer(tmp_path, 30)
    module, corpus = tiny(learning_rate=1e-2), data()
    run.fit(module, corpus)
    assert run.callback_metrics["train_loss"] < 5.5 < math.log(512)
    kept = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert kept("The cat sees the dog.").input_ids == corpus.tokenizer("The cat sees the dog.").input_ids


def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"mixture": Mixture({"language": Source(), "math": Source(start=5)})}
    whole = tiny()
    trainer(tmp_path, 8, accumulate_grad_batches=2).fit(whole, data(**settings))

    checkpoint = tmp_path / "saved.ckpt"

    class SaveAtThree(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
            if trainer.global_step == 3 and not checkpoint.exists():
                trainer.save_checkpoint(checkpoint)

    trainer(tmp_path, 8, accumulate_grad_batches=2, callbacks=[SaveAtThree()]).fit(tiny(), data(**settings))
    again = tiny(seed=9)
    rest = trainer(tmp_path, 8, accumulate_grad_batches=2)
    rest.fit(again, data(**settings), ckpt_path=str(checkpoint), weights_only=True)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
