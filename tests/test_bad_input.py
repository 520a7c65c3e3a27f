"""What users bring: tokenizers and models of every kind work, and what cannot work is told in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from loop import WORDS, Language, fit, small_battery, word_tokenizer
from models import CONFIGS, tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from observatory import Logbook, Observatory, load_battery, open_logbook
from observatory.callbacks import SpecializationMonitor
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.layout import Layout
from observatory.replay.engine import replay
from observatory.review.figures.plot import plot
from observatory.stimuli.battery import Battery, Domain, Family, Item

# Lightning says so of every run that is resumed, and of the submodule that is frozen on purpose.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch:UserWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
]

WIDE = ContrastLocalizer(share=0.1)


# Tokenizers --------------------------------------------------------------------------------------------------------


def trained(tokenizer: Tokenizer, **special: str) -> PreTrainedTokenizerFast:
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def byte_level(**special: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return trained(tokenizer, **special)


def with_bos() -> PreTrainedTokenizerFast:
    """Adds its beginning unasked, as Llama's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made = trained(tokenizer, bos_token="<s>", eos_token="</s>")
    backend = made.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return made


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "a token a word, no pad token": word_tokenizer,
    "byte level, no pad token": lambda: byte_level(eos_token="</s>"),
    "byte level with a pad token": lambda: byte_level(eos_token="</s>", pad_token="</s>"),
    "byte level without any special token": byte_level,
    "a beginning that it adds by itself": with_bos,
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_of_every_kind_work(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    assert (tokenizer.pad_token is None) == (name != "byte level with a pad token")
    model = tiny("gpt_neox", vocab_size=400)
    seen = Observatory(tokenizer, battery=small_battery(), instruments=[WIDE], twins=2).observe(model, step=0)
    assert np.isfinite(seen["contrast_index"]).all()
    assert seen["contrast_missing"].max() == 0


def test_what_is_no_tokenizer_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"str cannot be called; give one as transformers.AutoTokenizer.from_pretr"):
        Observatory("gpt2", battery=small_battery()).observe(tiny("gpt2"), step=0)  # type: ignore[arg-type]


# Prompts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["gpt_neox", "gpt2", "llama"])
def test_a_prompt_longer_than_the_context_is_said_in_a_sentence(architecture: str) -> None:
    long = " ".join(WORDS[:33])
    items = (Item("i-1", "w1 w2", "w3 w4"), Item("i-2", long, "w3 w4"))
    families = tuple(Family("a", name, "other words", items) for name in ("x", "y"))
    battery = Battery("long", (Domain("a", "words", families, ()),))
    limit = "n_positions" if "n_positions" in CONFIGS[architecture] else "max_position_embeddings"
    expected = rf"the text '{long}' is 34 tokens long and the model takes 20; shorten it, leave it out of the battery"
    observatory = Observatory(word_tokenizer(), battery=battery)
    with pytest.raises(ValueError, match=expected):
        observatory.observe(tiny(architecture, **{limit: 20}), step=0)
    observatory.observe(tiny(architecture, **{limit: 34}), step=0)


# Models ------------------------------------------------------------------------------------------------------------


class Nameless(nn.Module):
    """Blocks whose parts say nothing of what they are."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.up, self.down = nn.Linear(16, 16), nn.Linear(16, 20), nn.Linear(20, 16)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.mix(x)
            out: Tensor = x + self.down(self.up(x).relu())
            return out

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(48, 16)
        self.stack = nn.ModuleList([Nameless.Block() for _ in range(2)])

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.stack:
            x = block(x)
        out: Tensor = x
        return out


def test_blocks_that_cannot_be_found_are_said_in_a_sentence_that_helps() -> None:
    model = Nameless()
    with pytest.raises(ValueError, match="no transformer blocks were found") as caught:
        Observatory(word_tokenizer(), battery=small_battery(), twins=2).observe(model, step=0)
    told = str(caught.value)
    assert "no transformer blocks were found in Nameless: looked for a ModuleList whose members all have" in told
    assert "found stack of 2 Block" in told
    assert "layout=Layout(blocks=" in told
    layout = Layout(blocks="stack", mlp="down", attention="mix", heads=4)  # what the sentence says to do
    seen = Observatory(word_tokenizer(), battery=small_battery(), layout=layout).observe(model, step=0)
    assert seen["contrast_score_mlp"].shape == (2, 2, 2, 20)


def test_a_model_of_no_blocks_at_all_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"no transformer blocks were found in Linear: .* found no ModuleList\. Say"):
        Observatory(word_tokenizer(), battery=small_battery()).observe(nn.Linear(2, 2), step=0)


def test_the_monitor_says_before_training_that_it_cannot_find_the_blocks(tmp_path: Path) -> None:
    class Training(Language):
        def __init__(self) -> None:
            super().__init__()
            self.model = Nameless()  # type: ignore[assignment]
            self.frozen = self.model.stack[0]
            self.head = nn.Linear(16, 48)

    watching = SpecializationMonitor(word_tokenizer(), tmp_path / "o.h5", battery=small_battery(), recorders=())
    with pytest.raises(ValueError, match="no transformer blocks were found in Training"):
        fit(tmp_path, [watching], module=Training(), num_sanity_val_steps=0)
    Logbook(tmp_path / "o.h5").close()  # nobody holds it any more


def test_dead_units_are_counted_and_enter_no_region() -> None:
    model = tiny("gpt_neox")
    dead = {1: [0, 5, 7], 2: [19]}
    with torch.no_grad():
        for layer, units in dead.items():
            up = model.gpt_neox.layers[layer].mlp.dense_h_to_4h
            up.weight[units], up.bias[units] = 0.0, 0.0
    seen = Observatory(word_tokenizer(), battery=small_battery(), instruments=[WIDE], twins=2).observe(model, step=0)
    assert seen["contrast_missing"].tolist() == [[4, 4], [0, 0], [0, 0]]
    assert np.isfinite(seen["contrast_index"]).all()
    for layer, units in dead.items():
        assert not seen["contrast_region_mlp"][:, :, layer, units].any()


def test_activations_that_are_not_finite_are_missing_and_crash_nothing(tmp_path: Path) -> None:
    """A run that diverged: what is left is measured, and the rest is counted as missing."""
    model = tiny("gpt_neox")
    with torch.no_grad():
        model.gpt_neox.layers[1].mlp.dense_h_to_4h.weight[3] = torch.nan
    seen = Observatory(word_tokenizer(), battery=small_battery(), instruments=[WIDE], twins=2).observe(model, step=0)
    # One neuron in layer 1 spoils what that layer writes, and with it all of layer 2.
    assert seen["contrast_missing"][0].tolist() == [1 + 20, 1 + 20]
    assert seen["contrast_missing"][1].tolist() == [2 * 16, 2 * 16]
    assert np.isfinite(seen["contrast_index"]).all()
    assert not seen["contrast_region_mlp"][:, :, 2].any()
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(seen)
    plot(open_logbook(tmp_path / "o.h5"), tmp_path)


def test_a_model_of_nothing_but_nan_is_measured_as_missing(tmp_path: Path) -> None:
    model = tiny("gpt_neox")
    with torch.no_grad():
        model.gpt_neox.embed_in.weight.fill_(torch.nan)
    seen = Observatory(word_tokenizer(), battery=small_battery(), twins=2).observe(model, step=0)
    assert seen["contrast_missing"].tolist() == [[60, 60], [48, 48], [12, 12]]
    assert np.isnan(seen["contrast_index"]).all()
    with Logbook(tmp_path / "o.h5") as logbook:
        logbook.record(seen)
    plot(open_logbook(tmp_path / "o.h5"), tmp_path)


def test_a_unit_that_is_not_finite_on_some_stimuli_is_missing() -> None:
    model, shown = tiny("gpt_neox"), [text.split() for text in small_battery().texts]
    word = min({word for text in shown for word in text} - {text[-1] for text in shown})
    with torch.no_grad():
        model.gpt_neox.embed_in.weight[word_tokenizer().convert_tokens_to_ids(word)] = torch.nan
    seen = Observatory(word_tokenizer(), battery=small_battery(), twins=2).observe(model, step=0)
    # No stimulus ends in that word, so the first layer's 20 neurons, which read their own token, are fine at the last.
    assert seen["contrast_missing"].tolist() == [[40, 60], [48, 48], [12, 12]]


# Places ------------------------------------------------------------------------------------------------------------

PLACES = {
    "a folder that is a file": ("file/o.h5", r"file"),
    "a folder": ("folder", r"a logbook is a file, and this is a folder"),
    "a file that is no logbook": ("file", r"file is not a logbook: it is not an HDF5 file"),
}


@pytest.mark.parametrize("place", ["a folder that is a file"])
def test_a_monitor_that_cannot_write_stops_the_run_before_it_starts(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    where, words = PLACES[place]
    watching = SpecializationMonitor(word_tokenizer(), tmp_path / where, battery=small_battery(), recorders=())
    with pytest.raises((OSError, ValueError), match=words):
        fit(tmp_path, [watching], steps=1)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("place", PLACES)
def test_a_replay_that_cannot_write_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    saved = tmp_path / "checkpoints" / "step0"
    tiny("gpt_neox").save_pretrained(saved)
    word_tokenizer().save_pretrained(saved)
    where, words = PLACES[place]
    with pytest.raises((OSError, ValueError), match=words):
        replay(tmp_path / "checkpoints", tmp_path / where, battery=small_battery())
    assert (tmp_path / "file").read_text() == "mine"


# A logbook of something else ---------------------------------------------------------------------------------------


RESUMED: dict[str, dict[str, Any]] = {
    "battery": {"battery": small_battery(name="another")},
    "stimuli": {"tokenizer": byte_level(eos_token="</s>")},
    "settings": {"instruments": [WIDE]},
}


@pytest.mark.parametrize("what", RESUMED)
def test_a_resumed_run_that_measures_something_else_is_refused(tmp_path: Path, what: str) -> None:
    def monitor(**changes: Any) -> SpecializationMonitor:
        settings: dict[str, Any] = {
            "tokenizer": word_tokenizer(),
            "battery": small_battery(),
            "recorders": (),
            "twins": 2,
        }
        return SpecializationMonitor(out=tmp_path / "o.h5", schedule="every 1", **{**settings, **changes})

    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(tmp_path, [monitor(), saving], steps=2, enable_checkpointing=True)
    resume = tmp_path / "step=1.ckpt"
    words = rf"the logbook was written with {what} .* and this run has {what} .*; give it a logbook of its own"
    with pytest.raises(ValueError, match=words):
        fit(tmp_path, [monitor(**RESUMED[what]), saving], steps=3, resume=resume, enable_checkpointing=True)
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == [0, 1, 2]
    # Nobody holds it any more, and the right one goes on.
    fit(tmp_path, [monitor(), saving], steps=3, resume=resume, enable_checkpointing=True)
    assert open_logbook(tmp_path / "o.h5")["step"].values.tolist() == [0, 1, 2, 3]


def test_a_battery_that_does_not_exist_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(f"there is no battery at {tmp_path / 'b'}; give a folder of")):
        Observatory(word_tokenizer(), battery=tmp_path / "b")
    with pytest.raises(ValueError, match="each instrument records under its own name; got contrast, contrast"):
        Observatory(word_tokenizer(), instruments=[WIDE, ContrastLocalizer()])
    assert Observatory(word_tokenizer(), battery=["built-in"]).battery.hash == load_battery().hash
