"""The hub as a source of checkpoints: what it has, what is fetched of it, and what happens when it fails."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import Answer, Client, Fault, Hub, read_folder
from huggingface_hub import hf_hub_download
from loop import word_tokenizer
from models import tiny
from transformers import AutoTokenizer

from observatory.replay.checkpoints import find_checkpoints
from observatory.replay.doctor import examine_quickly
from observatory.replay.downloads import commit_of, downloaded, size_of, tokenizer_of
from observatory.replay.hub import hub_checkpoints
from observatory.replay.hub_hashes import hub_hashes
from observatory.replay.model import Replayed
from observatory.replay.places import Checkpoint, Remote
from observatory.replay.retry import Patience

PYTHIA = "EleutherAI/pythia-14m-seed3"
TINY = "lab/tiny"
STEPS = ("step0", "step1", "step2", "step3")
"""Of the tiny suite: one file, shards, shards in .bin and one .bin."""
LARGE = random.Random(0).randbytes(12 * 2**20)
"""The library takes up a body where it broke off in pieces of 10 MiB."""
EXTRAS = {"model.gguf": b"g", "optimizer.pt": b"o", "model.onnx": b"x", "flax_model.msgpack": b"f", "modeling.py": b"p"}
BUSY = Fault(503)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(
        {
            PYTHIA: {name: {} for name in ("main", "step1000", "step512", "step0", "step1", "step2000", "notes")},
            "lab/olmo": {
                name: {}
                for name in (
                    *("main", "stage1-step5000-tokens11B", "stage1-step1000-tokens3B"),
                    *("stage2-ingredient1-step1000-tokens3B", "stage2-ingredient1-step2000-tokens5B"),
                )
            },
            "lab/pico": {"main": folders()},
            "lab/plain": {"main": {"README.md": b"#", "model.safetensors": b"m"}, "v1": {}},
            TINY: suite(tmp_path_factory.mktemp("suite")),
            "lab/hostile": {"main": {"../../evil/step1/model.safetensors": b"evil"}},
            "lab/gated": {"step0": {"config.json": b"{}", "model.safetensors": b"m"}},
            "lab/empty": {"step0": {"config.json": b"{}", "README.md": b"#"}},
        }
    )
    hub.gated.add("lab/gated")
    hub.tags.add("lab/olmo@stage1-step1000-tokens3B")
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(hub.address, tmp_path_factory.mktemp("home"))
    yield client
    client.close()


def folders() -> dict[str, bytes]:
    """As of pico: checkpoints in folders of the main revision, one of them without weights."""
    with_weights = ("checkpoints/step_1000", "checkpoints/step_0", "other")
    files = {f"{folder}/{name}": b"{}" for folder in with_weights for name in ("config.json", "model.safetensors")}
    return {**files, "checkpoints/step_2000/config.json": b"{}", "checkpoints/step_0/more/model.safetensors": b"{}"}


def suite(folder: Path) -> dict[str, dict[str, bytes]]:
    """A tiny run with its tokenizer in main and at step 0."""
    word_tokenizer().save_pretrained(folder / "tokenizer")
    tokenizer = read_folder(folder / "tokenizer")
    files: dict[str, dict[str, bytes]] = {"main": {**tokenizer, "config.json": b'{"model_type": "gpt_neox"}'}}
    for seed, (name, limit) in enumerate(zip(STEPS, ("1GB", "15KB", "15KB", "1GB"), strict=True)):
        tiny("gpt_neox", seed).save_pretrained(folder / name, max_shard_size=limit)
        files[name] = read_folder(folder / name) if seed < 2 else pickled(folder / name)
    files["step0"] |= {**tokenizer, **EXTRAS, "pytorch_model.bin": b"twice"}
    return files


def pickled(folder: Path) -> dict[str, bytes]:
    """The same files as torch.save writes them, under the names that it had."""
    from safetensors.torch import load_file

    for file in sorted(folder.glob("*.safetensors")):
        torch.save(load_file(file), folder / in_pickles(file.name))
        file.unlink()
    files = {in_pickles(name): content for name, content in read_folder(folder).items()}
    for name in files:
        if name.endswith("index.json"):
            files[name] = files[name].replace(b".safetensors", b".bin").replace(b'"model-', b'"pytorch_model-')
    return files


def in_pickles(name: str) -> str:
    return name.replace("model", "pytorch_model").replace(".safetensors", ".bin") if "safetensors" in name else name


@pytest.fixture
def fresh(hub: Hub) -> str:
    """A repository that nobody has fetched anything of."""
    name = f"lab/fresh-{len(hub.repositories)}"
    hub.repositories[name] = {"step0": {"config.json": b"{}", "model.safetensors": name.encode() * 5000}}
    return name


def found(answer: Answer) -> list[Checkpoint]:
    assert answer.error is None, answer.error
    checkpoints: list[Checkpoint] = answer.value
    return checkpoints


def refused(answer: Answer, kind: type[Exception] = ValueError) -> str:
    assert type(answer.error) is kind, answer
    assert "\n" not in str(answer.error)
    return str(answer.error)


def names(checkpoints: list[Checkpoint]) -> list[str]:
    return [one.name for one in checkpoints]


def inside(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".cache"}


@pytest.mark.parametrize(
    ("selection", "steps"),
    [
        ("", [0, 1, 512, 1000, 2000]),
        ("@step512", [512]),
        ("@step1000, step0,step1000", [1000, 0]),
        ("@step1..step1000", [1, 512, 1000]),
        ("@step0,step512..step2000", [0, 512, 1000, 2000]),
        ("@step512..step512", [512]),
        ("@main", [143_000]),
        ("@step1000..main", [1000, 2000]),
    ],
)
def test_revisions_are_found_and_selected(hub: Hub, client: Client, selection: str, steps: list[int]) -> None:
    chosen = found(client.ask(hub_checkpoints, PYTHIA + selection))
    assert [one.step for one in chosen] == steps
    for one in chosen:
        revision = "main" if one.name == "main" else f"step{one.step}"
        assert one.place == Remote(PYTHIA, revision, commit=hub.commit(PYTHIA, revision))
        assert (one.tokens, one.seed, one.stage) == (one.step * 2_097_152, 3, "")


def test_branches_and_tags_tell_stage_and_tokens(client: Client) -> None:
    everything = found(client.ask(hub_checkpoints, "lab/olmo"))
    assert [(one.stage, one.step, one.tokens) for one in everything] == [
        ("stage1", 1000, 3 * 10**9),
        ("stage1", 5000, 11 * 10**9),
        ("stage2-ingredient1", 1000, 3 * 10**9),
        ("stage2-ingredient1", 2000, 5 * 10**9),
    ]
    part = "lab/olmo@stage1-step1000-tokens3B..stage1-step5000-tokens11B"
    assert [one.stage for one in found(client.ask(hub_checkpoints, part))] == ["stage1", "stage1"]


@pytest.mark.parametrize(("selection", "steps"), [("", [0, 1000]), ("@step_1000", [1000])])
def test_folders_count_where_no_revision_does(hub: Hub, client: Client, selection: str, steps: list[int]) -> None:
    """Those with weights, and that are named as checkpoints are."""
    chosen = found(client.ask(hub_checkpoints, "lab/pico" + selection))
    commit = hub.commit("lab/pico", "main")
    assert [(one.step, one.place) for one in chosen] == [
        (step, Remote("lab/pico", "main", f"checkpoints/step_{step}", commit)) for step in steps
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "lab/plain",
            "lab/plain has no checkpoints: .*found the revisions main, v1, and in main README.md, model.safe",
        ),
        ("lab/plain@step3", "lab/plain has no step3; it has no checkpoints, which are called step1000"),
        ("lab/plain@main", "lab/plain@main does not say of which step it is; it has no checkpoints"),
        (f"{PYTHIA}@notes", "notes does not say of which step .* it has 5 checkpoints, step0 to step2000"),
        (
            f"{PYTHIA}@step900",
            "has no step900; it has 5 checkpoints, step0 to step2000; near it are step512 and step1000",
        ),
        (f"{PYTHIA}@step0..step3000", "has no step3000; .*near it are step1000 and step2000"),
        (f"{PYTHIA}@step512..step1", "step512..step1 is no range"),
        (
            "lab/olmo@stage1-step1000-tokens3B..stage2-ingredient1-step2000-tokens5B",
            "is no range: both ends are of one stage",
        ),
        ("lab/nowhere", "there is no repository lab/nowhere at http.*`hf auth login`"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(client: Client, source: str, words: str) -> None:
    answer = client.ask(hub_checkpoints, source)
    assert re.search(words, refused(answer)), answer.error
    assert answer.waits == []


def test_a_source_of_checkpoints_may_be_on_the_hub(client: Client) -> None:
    assert names(client.run(find_checkpoints, PYTHIA, "at 3 1000")) == ["step512", "step1000"]


def test_a_fault_of_a_suite_on_the_hub_is_found_by_the_hashes_that_it_lists(hub: Hub, client: Client) -> None:
    steps = dict.fromkeys(range(0, 6000, 1000))
    whole = {f"step{step}": {"model.safetensors": b"%d" % step * 500, "README.md": b"#"} for step in steps}
    hub.repositories["lab/faulty"] = {**whole, "step2000": whole["step5000"]}
    hub.repositories["lab/faultless"] = whole
    assert diagnosed(client, "lab/faultless") == []
    assert diagnosed(client, "lab/faulty") == [("final weights", (2000,))]


def diagnosed(client: Client, source: str) -> list[tuple[str, tuple[int, ...]]]:
    """Without a download."""
    checkpoints = found(client.ask(hub_checkpoints, source))
    hashes = client.ask(hub_hashes, checkpoints)
    assert hashes.error is None
    assert [len(files) for files in hashes.value.values()] == [1] * len(checkpoints)
    return [(one.kind, one.steps) for one in examine_quickly(checkpoints, hashes.value)]


def test_offline_is_not_asked_at_all() -> None:
    """The tests themselves have HF_HUB_OFFLINE set."""
    with pytest.raises(ValueError, match=r"HF_HUB_OFFLINE is set, so that the revisions of lab/x cannot be asked for"):
        hub_checkpoints("lab/x")


def test_no_network_is_said_after_a_few_attempts(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9", tmp_path)  # nothing listens there
    answer = client.ask(hub_checkpoints, PYTHIA, attempts=3)
    client.close()
    assert "http://127.0.0.1:9 was asked 3 times for the revisions of" in refused(answer, ConnectionError)
    assert "ConnectError" in str(answer.error)
    assert answer.waits == [1, 2]


@pytest.mark.parametrize("own", [True, False], ids=["folder", "cache"])
@pytest.mark.parametrize(("seed", "name"), list(enumerate(STEPS)))
def test_a_fetched_checkpoint_holds_the_weights_that_were_put_there(
    hub: Hub, client: Client, tmp_path: Path, seed: int, name: str, own: bool
) -> None:
    place = Remote(TINY, name)
    path: Path = client.run(downloaded, place, tmp_path if own else None)
    assert (tmp_path in path.parents) == own
    left_out = {*EXTRAS, "pytorch_model.bin"} if name == "step0" else set()
    assert inside(path) == hub.repositories[TINY][name].keys() - left_out
    assert client.run(size_of, place) == sum((path / file).stat().st_size for file in inside(path))
    loaded = Replayed().at(Checkpoint(seed, 0, path), path).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in tiny("gpt_neox", seed).state_dict().items())


def test_of_a_folder_only_that_folder_is_fetched(client: Client, tmp_path: Path) -> None:
    place = found(client.ask(hub_checkpoints, "lab/pico"))[0].place
    path = client.run(downloaded, place, tmp_path)
    assert path.parts[-2:] == ("checkpoints", "step_0")
    assert sorted(one.name for one in tmp_path.rglob("*.safetensors")) == ["model.safetensors"]


def test_a_configuration_may_lie_above_all_checkpoints_and_code_is_fetched_for_who_trusts_it(
    hub: Hub, client: Client, tmp_path: Path
) -> None:
    one = hub.repositories[TINY]["step1"]
    weights = {f"checkpoints/step_1/{name}": content for name, content in one.items() if name != "config.json"}
    above = {"config.json": one["config.json"], "modeling.py": b"p", "tokenizer.json": b"{}"}
    hub.repositories["lab/above"] = {"main": {**weights, **above}}
    place = found(client.ask(hub_checkpoints, "lab/above"))[0].place
    assert isinstance(place, Remote)
    path: Path = client.run(downloaded, place, tmp_path)
    assert path.parts[-2:] == ("checkpoints", "step_1")
    assert inside(path.parents[1]) == {"checkpoints", "config.json"}
    loaded = Replayed().at(Checkpoint(1, 0, path), path).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in tiny("gpt_neox", 1).state_dict().items())
    client.run(partial(downloaded, code=True), place, tmp_path)
    assert inside(path.parents[1]) == {"checkpoints", "config.json", "modeling.py"}
    assert client.run(partial(size_of, code=True), place) == client.run(size_of, place) + 1


def test_a_revision_without_weights_says_what_it_has(client: Client, tmp_path: Path) -> None:
    answer = client.ask(downloaded, Remote("lab/empty", "step0"), tmp_path)
    assert "lab/empty@step0 holds no weights" in refused(answer)
    assert "found config.json, README.md" in refused(answer)


@pytest.mark.parametrize("place", [Remote(TINY, "step0"), Remote(TINY, "step1"), Remote(TINY, "main", "nowhere")])
def test_the_tokenizer_is_that_of_the_checkpoint_or_of_main(client: Client, place: Remote) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(client.run(tokenizer_of, place))
    assert tokenizer("w3 w5").input_ids == word_tokenizer()("w3 w5").input_ids


def test_without_a_tokenizer_that_is_said(client: Client) -> None:
    assert "lab/pico holds no tokenizer" in refused(client.ask(tokenizer_of, Remote("lab/pico", "main")))


def test_a_checkpoint_stays_the_commit_that_was_listed(hub: Hub, client: Client, fresh: str) -> None:
    listed = found(client.ask(hub_checkpoints, fresh))[0].place
    before = hub.commit(fresh, "step0")
    hub.repositories[fresh]["step0"] = {"config.json": b"{ }"}
    assert client.run(commit_of, listed) == before
    assert client.run(commit_of, Remote(fresh, "step0")) == hub.commit(fresh, "step0") != before
    assert client.run(commit_of, Remote(fresh, before)) == before
    assert f"{fresh} has no revision step9; it has 1: step0" in refused(client.ask(commit_of, Remote(fresh, "step9")))


def test_the_files_of_two_commits_never_lie_side_by_side(hub: Hub, client: Client, tmp_path: Path, fresh: str) -> None:
    client.run(downloaded, Remote(fresh, "step0"), tmp_path)
    hub.repositories[fresh]["step0"] = {f"model-0000{n}-of-00002.safetensors": bytes([n]) * 1000 for n in (1, 2)}
    moved = client.run(downloaded, Remote(fresh, "step0"), tmp_path)
    assert inside(moved) == hub.repositories[fresh]["step0"].keys()


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        ([BUSY, BUSY], [1, 2]),
        ([Fault(429, {"Retry-After": "7"})], [7]),
        ([Fault(429, {"Retry-After": "4000"})], [300]),
        ([Fault(429, {"RateLimit": '"api";r=0;t=55'})], [55]),
        ([Fault(500), Fault(502), Fault(408)], [1, 2, 4]),
        ([Fault(cut=20)], [1]),
        ([Fault(cut=20, reset=True)], [1]),
        ([Fault(pause=3)], [1]),
    ],
    ids=["busy", "limited", "limited for long", "limited as the hub says it", "ill", "cut", "reset", "silent"],
)
def test_a_listing_is_asked_for_again(hub: Hub, client: Client, faults: list[Fault], waits: list[float]) -> None:
    hub.plan("GET refs", *faults)
    with hub.watched() as requests:
        answer = client.ask(hub_checkpoints, f"{PYTHIA}@step0")
    assert names(found(answer)) == ["step0"]
    assert answer.waits == waits
    assert len(requests) == len(faults) + 1


def test_in_the_end_it_gives_up_and_says_how_often_and_why(hub: Hub, client: Client) -> None:
    hub.plan("GET refs", *4 * [BUSY])
    with hub.watched():
        answer = client.ask(hub_checkpoints, PYTHIA)
    assert f"{hub.address} was asked 4 times for the revisions of {PYTHIA}" in refused(answer, ConnectionError)
    assert "503 Service Unavailable" in str(answer.error)
    assert answer.waits == [1, 2, 4]


@pytest.mark.parametrize(
    ("request_", "fault", "waits"),
    [
        ("GET elsewhere", Fault(503), [1]),
        ("GET elsewhere", Fault(cut=30_000, reset=True), [1]),
        ("GET elsewhere", Fault(flipped=True), [1]),
        ("HEAD model.safetensors", Fault(length=50), [1]),
        ("HEAD model.safetensors", Fault(503), []),  # the library asks again by itself, and waits if it must
        ("GET elsewhere", Fault(429, {"Retry-After": "0"}), []),
        ("GET elsewhere", Fault(cut=30_000), []),
        ("GET elsewhere", Fault(pause=3), []),
    ],
    ids=["busy", "reset", "flipped", "of another length", "head busy", "limited", "cut", "silent"],
)
def test_a_file_is_asked_for_again(
    hub: Hub, client: Client, tmp_path: Path, fresh: str, request_: str, fault: Fault, waits: list[float]
) -> None:
    hub.plan(request_, fault)
    with hub.watched():
        answer = client.ask(downloaded, Remote(fresh, "step0"), tmp_path)
    assert answer.error is None
    assert (answer.value / "model.safetensors").read_bytes() == hub.repositories[fresh]["step0"]["model.safetensors"]
    assert answer.waits == waits
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_file_that_stays_damaged_is_given_up_and_not_kept(
    hub: Hub, client: Client, tmp_path: Path, fresh: str
) -> None:
    hub.plan("GET elsewhere", *4 * [Fault(flipped=True)])
    with hub.watched():
        answer = client.ask(downloaded, Remote(fresh, "step0"), tmp_path)
    assert "model.safetensors is not the file that the hub lists" in refused(answer, ConnectionError)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_file_of_the_cache_that_has_rotted_is_fetched_anew(hub: Hub, client: Client, fresh: str) -> None:
    weights = client.run(downloaded, Remote(fresh, "step0")) / "model.safetensors"
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:-1] + b"!")
    answer = client.ask(downloaded, Remote(fresh, "step0"))
    assert (answer.value / "model.safetensors").read_bytes() == whole
    assert answer.waits == [1]


def test_a_body_is_taken_up_where_it_broke_off(hub: Hub, client: Client, tmp_path: Path, fresh: str) -> None:
    hub.repositories[fresh]["step0"] = {"model.safetensors": LARGE}
    hub.plan("GET elsewhere", Fault(cut=11 * 2**20))
    with hub.watched() as requests:
        path = client.run(downloaded, Remote(fresh, "step0"), tmp_path)
    assert [one.range for one in requests if "elsewhere" in one.path] == [None, f"bytes={10 * 2**20}-"]
    assert (path / "model.safetensors").read_bytes() == LARGE


def test_what_was_fetched_before_a_failure_is_not_fetched_again(
    hub: Hub, client: Client, tmp_path: Path, fresh: str
) -> None:
    hub.repositories[fresh]["step0"] = {f"model-0000{n}-of-00002.safetensors": bytes([n]) * 1000 for n in (1, 2)}
    hub.plan("GET elsewhere 00002-of", BUSY)
    with hub.watched():
        refused(client.ask(downloaded, Remote(fresh, "step0"), tmp_path, attempts=1), ConnectionError)
    with hub.watched() as requests:
        client.run(downloaded, Remote(fresh, "step0"), tmp_path)
    assert [one.path[-26:] for one in requests if "elsewhere" in one.path] == ["00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("repository", "fault", "words"),
    [
        ("lab/gated", None, "lab/gated is gated: ask for access at .*/lab/gated, then log in"),
        ("", Fault(404, {"X-Error-Code": "EntryNotFound"}), "the hub lists config.json of .* no such file"),
        ("", Fault(401), "there is no repository .* that may be read from here"),
        ("", Fault(403, {"X-Error-Message": "not for you"}), "refused config.json of .*: 403 Forbidden not for you"),
    ],
)
def test_what_is_refused_is_not_asked_for_again(
    hub: Hub, client: Client, tmp_path: Path, fresh: str, repository: str, fault: Fault | None, words: str
) -> None:
    hub.plan("HEAD config.json", *([fault] if fault else []))
    with hub.watched() as requests:
        answer = client.ask(downloaded, Remote(repository or fresh, "step0"), tmp_path)
    with pytest.raises(ValueError, match=words):
        raise answer.error or AssertionError(answer)
    assert [one.method for one in requests].count("HEAD") == 1
    assert answer.waits == []


def test_waits_grow_are_bounded_and_differ_between_workers() -> None:
    for chance, share in ((0.0, 0.5), (1.0, 1.0)):
        waits: list[float] = []
        patience = Patience(sleep=waits.append, chance=lambda chance=chance: chance)  # type: ignore[misc]
        for attempt in range(1, 9):
            patience.wait(attempt, 0)
        assert waits == [share * seconds for seconds in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert len({Patience().chance() for _ in range(9)}) == 9


@pytest.mark.parametrize("call", [hub_checkpoints, downloaded])
def test_a_name_that_leads_elsewhere_is_refused(client: Client, tmp_path: Path, call: Any) -> None:
    place = "lab/hostile" if call is hub_checkpoints else Remote("lab/hostile", "main", "../../evil/step1")
    below = tmp_path / "a" / "b" / "c"
    answer = client.ask(call, place, *([below] if call is downloaded else []))
    assert "'../../evil/step1/model.safetensors', which leads elsewhere" in refused(answer)
    assert not list(tmp_path.rglob("*evil*"))


def test_the_library_too_writes_nothing_elsewhere(client: Client, tmp_path: Path) -> None:
    file = "../../evil/step1/model.safetensors"
    with pytest.raises(ValueError, match=r"cannot contain a '..' path segment"):
        client.run(partial(hf_hub_download, local_dir=tmp_path / "a" / "b"), "lab/hostile", file)
    with pytest.raises(ValueError, match=r"cannot contain a '..' path segment"):
        client.run(hf_hub_download, "lab/hostile", file)
    assert not list(tmp_path.rglob("*evil*"))
