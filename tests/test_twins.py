"""Re-initialised twins: fresh weights of the same architecture, measured once, without a trace on the model."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from loop import Language, fit, small_battery, word_tokenizer
from models import CONFIGS, LAYERS, FlatGPT, NanoGPT, seeded, tiny
from test_undisturbed import trained, unchanged
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from observatory import Instrument, Observation, Observatory, Variable, open_logbook
from observatory.callbacks import PythiaCheckpoints, SpecializationMonitor
from observatory.measure.anatomy import anatomy
from observatory.measure.instruments import ContrastLocalizer
from observatory.measure.scene import Scene
from observatory.measure.twins import Scheme, default_count, find_scheme, twins
from observatory.measure.undisturbed import undisturbed
from observatory.record.logbook import Logbook
from observatory.replay.engine import replay

TWINS = 3
NAMES = {f"contrast_{name}_twins" for name in ("index", "specificity", "generality")}


def observatory(**settings: Any) -> Observatory:
    instruments = [ContrastLocalizer(share=0.1, draws=0)]
    defaults: dict[str, Any] = {"battery": small_battery(), "instruments": instruments, "twins": TWINS}
    return Observatory(word_tokenizer(), **{**defaults, **settings})


def of_twins(seen: Observation) -> dict[str, np.ndarray]:
    return {name: variable.values for name, variable in seen.variables.items() if name.endswith("_twins")}


def same_twins(one: Observation, other: Observation) -> bool:
    a, b = of_twins(one), of_twins(other)
    return a.keys() == b.keys() != set() and all(np.array_equal(a[name], b[name]) for name in a)


class Passes:
    """How many batches the bodies of some class have seen, copies of the model included."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, body: type[nn.Module]) -> None:
        self.count, forward = 0, body.forward

        def counted(module: nn.Module, *given: Any, **named: Any) -> Any:
            self.count += 1
            return forward(module, *given, **named)

        counted.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
        monkeypatch.setattr(body, "forward", counted)

    def of(self, do: Callable[[], object]) -> int:
        before = self.count
        do()
        return self.count - before


def weights_of(model: nn.Module, step: int, count: int = TWINS, **settings: Any) -> list[dict[str, Tensor]]:
    """The parameters of each twin."""
    found = anatomy(model)
    scheme = find_scheme(found.whole, step, settings.get("fresh"), None)
    assert scheme is not None
    with undisturbed(model):
        return [{name: p.clone() for name, p in twin.body.named_parameters()} for twin in twins(found, scheme, count)]


# What is recorded ---------------------------------------------------------------------------------------------------


def test_a_twin_is_measured_as_an_observation_of_a_model_with_its_weights_would_be() -> None:
    model = tiny("gpt_neox")
    seen = observatory().observe(model, step=0)
    assert set(of_twins(seen)) == NAMES
    for number, weights in enumerate(weights_of(model, step=0)):
        other = tiny("gpt_neox")
        other.gpt_neox.load_state_dict(weights)
        alone = observatory(twins=0).observe(other, step=0)
        for name in ("index", "specificity", "generality"):
            variable = seen.variables[f"contrast_{name}_twins"]
            assert variable.dims == ("twin", "space", "pooling", "domain")
            assert variable.attrs["twins"] == "entries of each parameter at step 0 shuffled"
            np.testing.assert_array_equal(variable.values[number], alone[f"contrast_{name}"])
    assert len(np.unique(seen["contrast_index_twins"])) == seen["contrast_index_twins"].size


def test_an_instrument_of_ones_own_has_its_variables_beside_the_others() -> None:
    class Norm(Instrument):
        name = "norm"

        def measure(self, scene: Scene) -> Mapping[str, Variable]:
            return {"weights": Variable((), np.array(self.of(scene)))}

        def on_twin(self, scene: Scene) -> Mapping[str, Variable]:
            assert not any(module.training for module in scene.model.modules())
            return {"weights": Variable((), np.array(self.of(scene)), {"units": "1"})}

        def of(self, scene: Scene) -> float:
            return float(scene.anatomy.body.embed_in.weight.norm())

    class Silent(Norm):
        """Has nothing to say of a twin."""

        name, on_twin = "silent", Instrument.on_twin  # type: ignore[assignment]

    seen = observatory(instruments=[Norm(), Silent()]).observe(tiny("gpt_neox"), step=0)
    assert set(seen.variables) == {"norm_weights", "silent_weights", "norm_weights_twins"}
    found = seen.variables["norm_weights_twins"]
    assert found.dims == ("twin",)
    assert found.attrs["units"] == "1"
    np.testing.assert_allclose(found.values, float(seen["norm_weights"]), rtol=1e-5)  # a shuffle keeps the norm


@pytest.mark.parametrize("twins", [1, -1, -16])
def test_fewer_than_two_twins_are_refused(twins: int) -> None:
    with pytest.raises(ValueError, match=f"two or more; got {twins}"):
        observatory(twins=twins)


def test_twins_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("gpt_neox")
    passes = Passes(monkeypatch, type(model.gpt_neox))
    none = observatory(twins=0)
    alone = passes.of(lambda: none.observe(model, step=0))
    assert of_twins(none.observe(model, step=0)) == {}
    assert passes.of(lambda: observatory(twins=5).observe(model, step=0)) == 6 * alone


def test_a_larger_model_has_fewer_unless_said_otherwise() -> None:
    with torch.device("meta"):
        for wide, count in ((100, 16), (10_000, 16), (10_001, 8), (32_000, 4)):
            body = nn.Sequential(nn.Embedding(10**7, 1000), nn.Linear(wide, wide, bias=False))
            assert default_count(body) == count
            tied = nn.Sequential(nn.Embedding(wide, wide), nn.Linear(wide, wide, bias=False), nn.Linear(10, 10))
            tied[1].weight = tied[0].weight
            assert default_count(tied) == 16


# Without a trace ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 100])
@pytest.mark.parametrize("architecture", ["gpt_neox", "gpt2"])
def test_measuring_twins_changes_nothing_of_the_model_or_the_generators(architecture: str, step: int) -> None:
    model = tiny(architecture)
    trained(model)
    model.base_model.register_forward_hook(lambda *_: None)
    next(iter(anatomy(model).sites["residual"])).module.eval()
    watching = observatory()
    with unchanged(model):
        seen = watching.observe(model, step)
    assert set(of_twins(seen)) == NAMES


def test_nothing_is_left_behind_when_making_a_twin_fails() -> None:
    def fresh() -> nn.Module:
        torch.rand(3)
        raise ArithmeticError

    model, watching = trained(seeded(NanoGPT)), observatory(fresh=fresh)
    with unchanged(model), pytest.raises(ArithmeticError):
        watching.observe(model, step=100)


class Owner:
    """Somebody's object that a hook holds on to: not to be copied, and to be called for the model alone."""

    def __init__(self, body: nn.Module) -> None:
        self.body, self.calls = body, 0

    def __deepcopy__(self, _: object) -> Owner:
        raise TypeError("not to be copied")

    def count(self, module: nn.Module, *_: object) -> None:
        assert module is self.body
        self.calls += 1


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
@pytest.mark.parametrize("step", [0, 100])
def test_hooks_on_the_model_are_not_of_its_twins(register: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("gpt_neox")
    owner = Owner(model.gpt_neox.layers[0])
    getattr(owner.body, register)(owner.count)
    passes = Passes(monkeypatch, type(owner.body))
    observatory().observe(model, step)
    assert passes.count == (1 + TWINS) * LAYERS * owner.calls > 0


def test_a_model_that_is_compiled_block_by_block_has_twins_as_well() -> None:
    def block_by_block(model: nn.Module) -> nn.Module:
        for block in model.transformer["h"]:
            block.compile(backend=lambda graph, _: graph.forward)
        return model

    plain = observatory().observe(seeded(NanoGPT), step=0)
    assert same_twins(observatory().observe(block_by_block(seeded(NanoGPT)), step=0), plain)


# Their weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [lambda: tiny("gpt_neox"), lambda: tiny("gemma"), lambda: seeded(NanoGPT)])
def test_twins_at_step_0_have_the_entries_of_each_parameter_in_another_order(build: Callable[[], nn.Module]) -> None:
    model = build()
    body = anatomy(model).body
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.normal_()
    all_twins = weights_of(model, step=0)
    for name, original in body.named_parameters():
        seen = [original, *(twin[name] for twin in all_twins)]
        for one in seen:
            assert torch.equal(one.flatten().sort().values, original.flatten().sort().values), name
        for number, one in enumerate(seen):
            assert all((one != other).float().mean() > 0.5 for other in seen[:number]), name
    again = weights_of(model, step=0)
    assert all(torch.equal(one[name], other[name]) for one, other in zip(all_twins, again, strict=True) for name in one)


def long_trained(architecture: str) -> nn.Module:
    """Weights ten times as wide as fresh ones, with norms and biases far from where they began."""
    model = tiny(architecture, hidden_size=64) if architecture != "gpt2" else tiny("gpt2", n_embd=64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(10 * parameter if parameter.ndim > 1 else parameter + 3)
    return model


@pytest.mark.parametrize("architecture", ["gpt_neox", "llama", "gpt2", "gemma", "olmo2", "opt"])
def test_twins_of_a_trained_model_have_the_moments_of_a_fresh_one(architecture: str) -> None:
    model = long_trained(architecture)
    fresh = anatomy(AutoModelForCausalLM.from_config(model.config)).body
    found = weights_of(model, step=100, count=2)
    for name, expected in fresh.named_parameters():
        for twin in found:
            assert twin[name].mean().item() == pytest.approx(expected.mean().item(), abs=0.01), name
            assert twin[name].std().item() == pytest.approx(expected.std().item(), rel=0.25), name
        drawn = expected.numel() > 1 and expected.std() > 0
        assert torch.equal(found[0][name], found[1][name]) != drawn, name
    again = weights_of(model, step=100, count=2)
    assert all(torch.equal(one[name], other[name]) for one, other in zip(found, again, strict=True) for name in one)


def test_a_shuffled_and_a_rebuilt_twin_are_of_one_kind() -> None:
    """A model at step 0 may be seen either way, and the two ways must give the same null."""
    config = AutoConfig.for_model("gpt_neox", vocab_size=48, **{**CONFIGS["gpt_neox"], "hidden_size": 64})
    model = AutoModelForCausalLM.from_config(config)
    for (name, one), other in zip(weights_of(model, 0, 1)[0].items(), weights_of(model, 1, 1)[0].values(), strict=True):
        assert one.mean().item() == pytest.approx(other.mean().item(), abs=0.005), name
        assert one.std().item() == pytest.approx(other.std().item(), rel=0.15), name


class Tied(NanoGPT):
    """As GPT-2 has it, and in one module with its head, so that the head is of the body."""

    def __init__(self) -> None:
        super().__init__()
        self.lm_head.weight = self.transformer["wte"].weight


@pytest.mark.parametrize("step", [0, 100])
def test_weights_that_are_tied_stay_tied_and_are_not_the_models(step: int) -> None:
    model = seeded(Tied, seed=9)
    found = anatomy(model)
    scheme = find_scheme(found.whole, step, (lambda: Tied()) if step else None, None)
    assert isinstance(scheme, Scheme)
    with undisturbed(model):
        for twin in twins(found, scheme, 2):
            assert twin.body.lm_head.weight is twin.body.transformer["wte"].weight
            assert twin.body.lm_head.weight is not model.lm_head.weight
            assert not torch.equal(twin.body.lm_head.weight, model.lm_head.weight)
            for space, sites in twin.sites.items():
                theirs = set(twin.body.modules())
                assert all(site.module in theirs for site in sites)
                assert [site.units for site in sites] == list(found.widths(space))


# Models that transformers does not know ----------------------------------------------------------------------------


def test_a_model_of_ones_own_that_is_first_seen_trained_has_no_twins_and_is_told_how_to_get_them() -> None:
    model = seeded(NanoGPT)
    with pytest.warns(UserWarning, match="NanoGPT has adapters, .*, and first seen at step 100.*pass fresh="):
        seen = observatory().observe(model, step=100)
    assert of_twins(seen) == {}
    assert np.isfinite(seen["contrast_index"]).all()


def test_it_is_told_once() -> None:
    watching, model = observatory(), seeded(NanoGPT)
    with pytest.warns(UserWarning, match="pass fresh="):
        watching.observe(model, step=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watching.observe(model, step=200)


@pytest.mark.parametrize("step", [0, 100])
@pytest.mark.parametrize("kind", [NanoGPT, FlatGPT])
def test_a_function_that_makes_it_anew_gives_it_twins(kind: type[nn.Module], step: int) -> None:
    model, made = seeded(kind, seed=9), []

    def fresh() -> nn.Module:
        made.append(kind())
        return made[-1]

    seen = observatory(fresh=fresh).observe(model, step)
    assert set(of_twins(seen)) == NAMES
    assert seen.variables["contrast_index_twins"].attrs["twins"] == "made by the function given as fresh"
    assert len(made) == TWINS
    first = next(made[0].parameters())
    assert not torch.equal(first, next(made[1].parameters()))
    assert torch.equal(first, next(seeded(kind, seed=0).parameters()))  # twin n is the model of seed n


# Once ---------------------------------------------------------------------------------------------------------------


def test_they_are_measured_once_and_taken_over_from_memory_and_from_the_observation_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, other = tiny("gpt_neox"), tiny("gpt_neox", seed=1)
    passes = Passes(monkeypatch, type(model.gpt_neox))
    alone = passes.of(lambda: observatory(twins=0).observe(model, step=0))
    watching = observatory()
    first = watching.observe(model, step=0)
    for step, seen in ((4, model), (0, other), (4, other)):
        assert passes.of(lambda step=step, seen=seen: watching.observe(seen, step)) == alone
        assert same_twins(watching.observe(seen, step), first)
    assert passes.of(lambda: observatory().observe(other, 4, previous=first)) == alone
    assert same_twins(observatory().observe(other, 4, previous=first), first)
    assert not same_twins(observatory().observe(other, 4), first)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {"num_hidden_layers": 2}),
        ({"battery": small_battery(name="another")}, {}),
        ({"instruments": [ContrastLocalizer(share=0.2, draws=0)]}, {}),
    ],
    ids=["shallower", "battery", "settings"],
)
def test_they_are_not_taken_over_from_another_architecture_or_battery(
    settings: dict[str, Any], changes: dict[str, int]
) -> None:
    before = observatory().observe(tiny("gpt_neox"), step=0)
    model = tiny("gpt_neox", **changes)
    here = observatory(**settings).observe(model, step=4, previous=before)
    assert same_twins(here, observatory(**settings).observe(model, step=4))
    assert not same_twins(here, before)


def test_one_observatory_keeps_those_of_two_architectures_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [tiny("gpt_neox"), tiny("gpt_neox", intermediate_size=24)]
    watching = observatory()
    one, other = (watching.observe(model, 0) for model in models)
    assert not same_twins(one, other)
    for model, seen in zip(models, (one, other), strict=True):
        assert same_twins(watching.observe(model, 4), seen)
        assert same_twins(observatory().observe(model, 0), seen)


def test_they_are_taken_over_from_a_logbook_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("gpt_neox")
    with Logbook(tmp_path / "o.h5") as logbook:
        first = observatory().observe(model, step=0)
        logbook.record(first)
    passes = Passes(monkeypatch, type(model.gpt_neox))
    alone = passes.of(lambda: observatory(twins=0).observe(model, step=0))
    with Logbook(tmp_path / "o.h5") as logbook:
        watching = observatory()
        assert passes.of(lambda: watching.observe(model, 4, previous=logbook.last())) == alone
        seen = watching.observe(model, 4)
        assert same_twins(seen, first)
        logbook.record(seen)
    read = open_logbook(tmp_path / "o.h5")
    for name, values in of_twins(first).items():
        assert read[name].dims == ("step", "twin", "space", "pooling", "domain")
        assert (read[name].values == values).all()


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")
def test_a_replay_has_the_twins_of_the_live_run_bit_for_bit(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"battery": small_battery(), "recorders": (), "twins": TWINS}
    watching = SpecializationMonitor(word_tokenizer(), tmp_path / "live.h5", "every 2", **settings)
    saving = PythiaCheckpoints(tmp_path / "checkpoints", "every 2", tokenizer=word_tokenizer())
    fit(tmp_path, [watching, saving], steps=2)
    live = open_logbook(tmp_path / "live.h5")
    replayed = open_logbook(replay(tmp_path / "checkpoints", tmp_path / "o.h5", battery=small_battery(), twins=TWINS))
    for name in NAMES:
        assert live[name].sizes["twin"] == TWINS
        assert np.isfinite(live[name]).all()
        np.testing.assert_array_equal(live[name], replayed[name])


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning")
def test_the_monitor_hands_on_how_a_model_is_made(tmp_path: Path) -> None:
    class Own(Language):
        def __init__(self) -> None:
            super().__init__()
            self.model = seeded(Trainable)  # type: ignore[assignment]
            self.frozen = self.model.transformer["h"][0]

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    watching = SpecializationMonitor(
        word_tokenizer(), tmp_path / "o.h5", "at 0", battery=small_battery(), recorders=(), twins=2, fresh=Trainable
    )
    fit(tmp_path, [watching], steps=1, module=Own())
    attributes = open_logbook(tmp_path / "o.h5")["contrast_index_twins"].attrs
    assert attributes["twins"] == "made by the function given as fresh"


class Trainable(NanoGPT):
    """Called as the loop calls it."""

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        out = super().forward(input_ids, labels)
        return out if labels is None else type("Out", (), {"loss": out})


def test_a_copy_by_hand_is_what_hooks_are_in_the_way_of() -> None:
    """Otherwise the tests of hooks above would show nothing."""
    model = tiny("gpt_neox")
    model.gpt_neox.layers[0].register_forward_hook(Owner(model).count)
    with pytest.raises(TypeError, match="not to be copied"):
        copy.deepcopy(model)
