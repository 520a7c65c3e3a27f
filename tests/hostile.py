"""Files that users might bring, each spoilt in some way: bytes cut, flipped and swapped, or values that mean harm."""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import yaml
from circuits_planted import planted_circuits
from lesion_cases import planted_lesions
from loop import small_battery
from recorded import recorded
from safetensors import safe_open
from safetensors.numpy import save_file
from saved import as_trainer, folders, pickled
from verdicts import planted, step_up

from observatory.record.journal import MAGIC, Frame
from observatory.stimuli.battery_file import domain_text

Chance = random.Random
SEAL = 12
"""Bytes at the end of a logbook's file."""
HARM: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**400, -(10**30), 2**63, float("nan"), float("inf"), 1e308),
    *("", " ", "\0", "two\nlines", "\u202eright to left", "../../../escaped", "/etc/passwd", "\ud800", "\x1b[31m"),
    *("<script>alert(1)</script>", "x" * 100_000, "\N{PILE OF POO}", "__proto__", "%s%n{0}{}", "nan"),
    *([], {}, [[]], {"": {}}, [None] * 1000, {"a": {"b": {"c": [1, 2, {"d": "e"}]}}}),
)


# Bytes -------------------------------------------------------------------------------------------------------------


def cut(data: bytes, chance: Chance) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def flipped(data: bytes, chance: Chance) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 50))):
        place = chance.randrange(len(spoilt)) if chance.random() < 0.5 else chance.randrange(min(4096, len(spoilt)))
        spoilt[place] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def swapped(data: bytes, chance: Chance) -> bytes:
    size = chance.choice((1, 16, 512, 4096))
    a, b = (chance.randrange(max(1, len(data) - size)) for _ in range(2))
    spoilt = bytearray(data)
    spoilt[a : a + size], spoilt[b : b + size] = data[b : b + size], data[a : a + size]
    return bytes(spoilt)


def blotted(data: bytes, chance: Chance) -> bytes:
    start, size = chance.randrange(len(data)), chance.choice((1, 8, 512, 8192))
    filling = chance.choice((b"\0", b"\xff", b"A", b"9", b'"', b"["))
    return (data[:start] + filling * size + data[start + size :])[: len(data)]


def inserted(data: bytes, chance: Chance) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.choice((1, 7, 1000))) + data[start:]


def nothing_like_it(data: bytes, chance: Chance) -> bytes:
    other = (b"", b"\0" * 5000, b"[" * 200_000, b"{}", b"null", b"\xff\xfe", data[:8], b'{"a":' * 50_000, data * 2)
    return chance.choice(other)


BYTES: tuple[Callable[[bytes, Chance], bytes], ...] = (
    cut,
    flipped,
    flipped,
    swapped,
    blotted,
    inserted,
    nothing_like_it,
)


def spoil(path: Path, chance: Chance) -> None:
    data = path.read_bytes()
    for _ in range(chance.choice((1, 1, 2))):
        data = chance.choice(BYTES)(data, chance) if data else data
    path.write_bytes(data)


# Values ------------------------------------------------------------------------------------------------------------


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(way for key, one in inside for way in places(one, (*at, key)))]


def harmed(value: Any, chance: Chance) -> Any:
    """One place of it is another: a value that means harm, gone, called otherwise, or there twice."""
    way = chance.choice(places(value))
    if not way:
        return deepcopy(chance.choice(HARM))
    parent = value
    for key in way[:-1]:
        parent = parent[key]
    kind = chance.randrange(5)
    if kind == 0:
        del parent[way[-1]]
    elif kind == 1 and isinstance(parent, dict):
        parent[str(chance.choice(HARM))[:1000]] = parent.pop(way[-1])
    elif kind == 1:
        parent.append(deepcopy(parent[way[-1]]))
    else:
        parent[way[-1]] = deepcopy(chance.choice(HARM))
    return value


def spoil_json(path: Path, chance: Chance) -> None:
    value = json.loads(path.read_text())
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = harmed(value, chance)
    text = json.dumps(value)
    if chance.random() < 0.1:
        text = re.sub(r"\{", '{"format": 1, "format": 2, ', text, count=1)  # a key twice
    path.write_text(text)


def spoil_text(path: Path, chance: Chance) -> None:
    """A file of JSON: now its bytes, now its values."""
    (spoil if chance.random() < 0.35 else spoil_json)(path, chance)


# Logbooks ----------------------------------------------------------------------------------------------------------


def spoil_arrays(path: Path, chance: Chance) -> None:
    """An HDF5 file that is whole and says that it is a logbook, with something in it that no writer of ours leaves."""
    with h5py.File(path, "r+") as file:
        for _ in range(chance.choice((1, 1, 2))):
            links = {name: file.get(name, getlink=True) for name in file}
            whole_ones = [name for name, link in links.items() if isinstance(link, h5py.HardLink)]
            names = [name for name in whole_ones if isinstance(file[name], h5py.Dataset)]
            favoured = [name for name in names if name in ("step", "tokens", "time", "domain", "contrast_index")]
            name = chance.choice(favoured if favoured and chance.random() < 0.4 else names)
            chance.choice(ARRAYS)(file, name, chance)


def _gone(file: Any, name: str, _: Chance) -> None:
    del file[name]


def _filled(file: Any, name: str, chance: Chance) -> None:
    data = file[name]
    values = {"f": (np.nan, np.inf, 1e300, -1e300, 0.0), "i": (-1, 0, 2**62, -(2**63)), "u": (0, 255)}
    if data.dtype.kind in values and data.size:
        filling = chance.choice(values[data.dtype.kind])
        if data.dtype.kind == "f" and data.dtype.itemsize < 8:
            filling = float(np.clip(filling, -1e30, 1e30))
        if data.dtype.kind in "iu":
            filling = int(np.clip(filling, np.iinfo(data.dtype).min, np.iinfo(data.dtype).max))
        rows = slice(None) if chance.random() < 0.5 else chance.randrange(len(data)) if data.ndim else ()
        data[rows if data.ndim else ()] = filling
    elif data.size:
        data[...] = str(chance.choice([one for one in HARM if isinstance(one, str) and one.isascii()])).replace(
            "\0", ""
        )


def _reshaped(file: Any, name: str, chance: Chance) -> None:
    shape = list(file[name].shape)
    change = chance.randrange(4)
    if change == 0 or not shape:
        shape = [*shape, 2]
    elif change == 1:
        shape = shape[:-1]
    else:
        place = chance.randrange(len(shape))
        shape[place] = chance.choice((0, 1, shape[place] + 1))
    dtype = file[name].dtype
    del file[name]
    file.create_dataset(name, shape=shape, dtype=dtype)


def _retyped(file: Any, name: str, chance: Chance) -> None:
    shape = file[name].shape
    del file[name]
    kind = chance.choice(("f2", "i1", "u8", "S3", "c16", h5py.string_dtype(), [("a", "i4"), ("b", "f4")], "V5"))
    file.create_dataset(name, shape=shape, dtype=np.dtype(kind) if not isinstance(kind, np.dtype) else kind)


def _grouped(file: Any, name: str, _: Chance) -> None:
    del file[name]
    file.create_group(name)


def _linked(file: Any, name: str, chance: Chance) -> None:
    del file[name]
    elsewhere = chance.choice((h5py.SoftLink("/nowhere"), h5py.SoftLink(f"/{name}"), h5py.ExternalLink("x.h5", "/y")))
    file[name] = elsewhere


def _renamed(file: Any, name: str, chance: Chance) -> None:
    new = (
        str(chance.choice([one for one in HARM if isinstance(one, str)])).replace("\0", "").replace("\ud800", "")[:200]
    )
    if (new := new.replace("/", "_").strip(".")) and new not in file:
        file.move(name, new)


def _attributed(file: Any, name: str, chance: Chance) -> None:
    where = chance.choice((file, file[name]))
    known = [key for key in where.attrs if key not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS")]
    key = chance.choice([*known, "units", "_FillValue", "coordinates", "model_config", "doctor", "format_version"])
    value = chance.choice([one for one in HARM if isinstance(one, (str, int, float))])
    value = value.replace("\0", "").replace("\ud800", "")[:60000] if isinstance(value, str) else value
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float("inf")
    where.attrs[key] = value


def _undone(file: Any, name: str, chance: Chance) -> None:
    """Its dimensions are no more what they were."""
    for key in ("DIMENSION_LIST", "CLASS", "NAME", "REFERENCE_LIST", "_Netcdf4Dimid"):
        if key in file[name].attrs and chance.random() < 0.7:
            del file[name].attrs[key]


def _huge(file: Any, name: str, chance: Chance) -> None:
    """Says that it is far larger than any memory, and takes no room."""
    shape = file[name].shape
    del file[name]
    size = chance.choice((10**7, 10**12))
    file.create_dataset(name, shape=(size, *shape[1:]), dtype="f8", chunks=(1, *(max(1, n) for n in shape[1:])))


ARRAYS = (_gone, _filled, _filled, _reshaped, _retyped, _grouped, _linked, _renamed, _attributed, _undone, _huge)


def spoil_journal(path: Path, chance: Chance) -> None:
    """Its bytes, or a frame whose checks hold and whose content is harmful."""
    if chance.random() < 0.4:
        spoil(path, chance)
        return
    data, frames, position = path.read_bytes(), [], len(MAGIC)
    while position < len(data):
        _, kind, length, _ = struct.unpack_from("<4s4sQI", data, position)
        frames.append(Frame(kind, data[position + 24 : position + 24 + length]))
        position += 24 + length
    number = chance.randrange(len(frames))
    kind, payload = frames[number]
    what = chance.randrange(5)
    if what == 0:
        frames[number] = Frame(chance.choice((b"HEAD", b"OBSV", b"GAP ", b"RWND", b"BNCH", b"????")), payload)
    elif what == 1:
        frames[number] = Frame(kind, chance.choice(BYTES)(payload, chance))
    elif what == 2:
        chance.shuffle(frames)
    else:
        (size,) = struct.unpack_from("<I", payload)
        head = json.dumps(harmed(json.loads(payload[4 : 4 + size]), chance)).encode()
        frames[number] = Frame(kind, struct.pack("<I", len(head)) + head + payload[4 + size :])
    path.write_bytes(MAGIC + b"".join(frame.encoded() for frame in frames))


# Checkpoints -------------------------------------------------------------------------------------------------------


def spoil_tensors(path: Path, chance: Chance) -> None:
    """Of another shape, of another type, without a value, without a name or with a harmful one."""
    with safe_open(str(path), framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = chance.choice(list(tensors))
    what, values = chance.randrange(6), tensors[name]
    if what == 0:
        del tensors[name]
    elif what == 1:
        tensors[name] = np.zeros((*values.shape, 2), values.dtype)
    elif what == 2:
        tensors[name] = values.astype(chance.choice(("f2", "f8", "i8", "u1")))
    elif what == 3:
        tensors[name] = np.full_like(values, chance.choice((np.nan, np.inf, 3e38)))
    elif what == 4:
        tensors[str(chance.choice([one for one in HARM if isinstance(one, str)])).replace("\ud800", "")] = values
    else:
        tensors = {}
    save_file(tensors, path)


def spoil_safetensors_header(path: Path, chance: Chance) -> None:
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    head = json.dumps(harmed(json.loads(data[8 : 8 + size]), chance)).encode()
    length = len(head) if chance.random() < 0.8 else chance.choice((2**63, 0, len(head) + 5, 2**32))
    path.write_bytes(struct.pack("<Q", length) + head + data[8 + size :])


def spoil_checkpoint(home: Path, chance: Chance) -> None:
    folder = chance.choice(sorted(path for path in home.iterdir() if path.is_dir()))
    if not (files := sorted(path for path in folder.iterdir() if path.is_file())):
        return
    file, what = chance.choice(files), chance.random()
    if what < 0.1:
        folder.rename(
            home / chance.choice(("step-1", "step" + "9" * 30, "step1\n", "step<b>", "checkpoint-", "step2 "))
        )
    elif what < 0.15:
        file.unlink()
        file.mkdir()
    elif file.suffix == ".safetensors":
        chance.choice((spoil, spoil_tensors, spoil_safetensors_header))(file, chance)
    elif file.suffix == ".json":
        spoil_text(file, chance)
    else:
        spoil(file, chance)


# Configurations ----------------------------------------------------------------------------------------------------


def spoil_yaml(path: Path, chance: Chance) -> None:
    if chance.random() < 0.3:
        spoil(path, chance)
        return
    value = harmed(yaml.safe_load(path.read_text()), chance)
    text = yaml.safe_dump(value) if chance.random() < 0.9 else json.dumps(value)
    odd = ("&a [*a]", "!!python/object/apply:os.mkdir [ran]", "a: &x [x]\nb: *x", "%YAML 9", "? : :", "--- \n---\n")
    path.write_text(f"{text}\n{chance.choice(odd)}\n" if chance.random() < 0.15 else text, errors="replace")


def spoil_csv(path: Path, chance: Chance) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    if chance.random() < 0.3:
        spoil(path, chance)
        return
    row = chance.choice(rows)
    row[chance.randrange(len(row))] = str(chance.choice(HARM))[:5000]
    if chance.random() < 0.2:
        rows.remove(row)
    path.write_text("\n".join(",".join(row) for row in rows), errors="replace")


# What is whole -----------------------------------------------------------------------------------------------------


def as_left_by_trainer(folder: Path) -> None:
    pickled(folder)
    as_trainer(folder)


def whole(home: Path) -> Path:
    """One folder for each kind of file, everything in it as it should be."""
    steps, random_numbers = [0, 100, 200, 400], np.random.default_rng(0)
    for name in ("verdict", "circuits", "lesions"):
        (home / name).mkdir(parents=True)
    curves = {"alpha": step_up(steps, 100), "beta": step_up(steps, 300)}
    recorded(home / "verdict" / "log.h5", planted(steps, curves, loss=True, gaps=[50], twins=4))
    recorded(home / "lesions" / "log.h5", planted_lesions((0, 100), domains=("alpha", "beta")))
    planted_circuits(home / "circuits" / "log.h5", (0, 100), 0.5, domains=2, width=128, twins=2)
    battery = home / "battery"
    battery.mkdir()
    for domain in small_battery(items=2).domains:
        (battery / f"{domain.name}.json").write_text(domain_text(domain))
    folders(home / "safetensors", steps=(0, 2))
    folders(home / "pickles", name="checkpoint-{}", steps=(0, 2), save=as_left_by_trainer)
    folders(home / "shards", limit="15KB", steps=(0, 2))
    for step in (0, 2):
        progress = {"step": step, "tokens": 32 * step, "attention": "eager", "threads": 1}
        (home / "shards" / f"step{step}" / "progress.json").write_text(json.dumps(progress))
    results = {"acc,none": 0.5, "acc_stderr,none": 0.01, "alias": "piqa"}
    content = {
        "results": {"piqa": results, "sciq": {"acc,none": 0.25, "acc_stderr,none": "N/A"}},
        "config": {"model": "hf", "model_args": "pretrained=EleutherAI/pythia-70m,revision=step1000"},
        "model_name": "EleutherAI/pythia-70m",
    }
    (home / "results").mkdir()
    (home / "results" / "step1000.json").write_text(json.dumps(content))
    (home / "overlap").mkdir()
    labels = [f"{domain}/{task}" for domain in ("a", "b") for task in ("x", "y")]
    matrix = random_numbers.random((4, 4)).round(4)
    matrix = (matrix + matrix.T) / 2
    lines = [
        ",".join(["", *labels]),
        *(",".join([label, *map(str, row)]) for label, row in zip(labels, matrix, strict=True)),
    ]
    (home / "overlap" / "matrix.csv").write_text("\n".join(lines))
    (home / "overlap" / "formats.csv").write_text(
        "\n".join(["task,format", *(f"{label},{label[-1]}" for label in labels)])
    )
    (home / "configs").mkdir()
    settings = {
        "emergence": {"logbook": "log.h5", "alpha": 0.05, "delta": 0.2, "json": True},
        "import": {"logbook": "log.h5", "step": 3, "model": "mine"},
        "doctor": {"source": "checkpoints", "steps": "logarithmic 4", "quick": True},
        "audit": {"battery": ["battery/alpha.json", "battery/beta.json"]},
        "replay": {"source": "nowhere", "out": "o.h5", "instruments": ["contrast"], "twins": 2, "battery": "battery"},
    }
    for name, setting in settings.items():
        (home / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(setting))
    shutil.copy(Path(__file__).parents[1] / "configs" / "demo.yaml", home / "configs" / "train.yaml")
    shutil.copy(home / "verdict" / "log.h5", home / "configs")
    shutil.copytree(battery, home / "configs" / "battery")
    shutil.copytree(home / "safetensors", home / "configs" / "checkpoints")
    return home


class Kind(NamedTuple):
    """One kind of file."""

    folder: str
    """Of what is whole."""
    spoil: Callable[[Path, Chance], None]
    """Is given a copy of that folder."""
    commands: tuple[str, ...]
    """In the copy; what they write goes into `out`."""


def at(name: str, spoiler: Callable[[Path, Chance], None]) -> Callable[[Path, Chance], None]:
    """One of the files that a pattern matches."""
    return lambda folder, chance: spoiler(chance.choice(sorted(folder.glob(name))), chance)


def without_journal(folder: Path, _: Chance) -> None:
    for file in folder.glob("*.h5.*"):
        file.unlink()


def without_checksum(folder: Path, _: Chance) -> None:
    """As older versions wrote it, so that what is spoilt gets as far as HDF5."""
    (folder / "log.h5").write_bytes((folder / "log.h5").read_bytes()[:-SEAL])


def both(*spoilers: Callable[[Path, Chance], None]) -> Callable[[Path, Chance], None]:
    def spoil_all(folder: Path, chance: Chance) -> None:
        for spoiler in spoilers:
            spoiler(folder, chance)

    return spoil_all


def sometimes_without_product(folder: Path, chance: Chance) -> None:
    if chance.random() < 0.5:
        (folder / "log.h5").unlink()


def spoil_all_yaml(folder: Path, chance: Chance) -> None:
    for file in sorted(folder.glob("*.yaml")):
        spoil_yaml(file, chance)


READING = ("emergence log.h5", "lead log.h5 alpha beta", "watch log.h5 --once true", "compare log.h5 ../whole/log.h5")
WRITING = ("import log.h5 ../results/step1000.json",)
DRAWING = ("report log.h5 --out out/r.html", "plot log.h5 --out out/figures")
REPLAY = "replay . --out out/o.h5 --battery ../battery --twins 0"
CONFIGURED = (
    "emergence --config emergence.yaml",
    "import --config import.yaml ../results/step1000.json",
    "doctor --config doctor.yaml",
    "battery audit --config audit.yaml",
    "replay --config replay.yaml",
    "train fit --config train.yaml --print_config",
)
KINDS: dict[str, Kind] = {
    "logbook, bytes": Kind("verdict", both(without_journal, at("log.h5", spoil)), (*READING, *WRITING)),
    "logbook, unsealed": Kind(
        "verdict", both(without_journal, without_checksum, at("log.h5", spoil)), (*READING, *WRITING)
    ),
    "logbook, arrays": Kind("verdict", both(without_journal, at("log.h5", spoil_arrays)), (*READING, *WRITING)),
    "logbook, drawn": Kind("verdict", both(without_journal, at("log.h5", spoil_arrays)), DRAWING[:1]),
    "circuits, arrays": Kind("circuits", at("log.h5", spoil_arrays), ("circuits log.h5",)),
    "lesions, arrays": Kind("lesions", at("log.h5", spoil_arrays), ("lesions log.h5",)),
    "journal": Kind("verdict", both(sometimes_without_product, at("*.journal", spoil_journal)), WRITING),
    "battery": Kind("battery", at("*.json", spoil_text), ("battery show --battery .", "battery audit --battery .")),
    "safetensors": Kind("safetensors", spoil_checkpoint, ("doctor .", "doctor . --quick true", REPLAY)),
    "shards": Kind("shards", spoil_checkpoint, ("doctor .", "doctor . --quick true", REPLAY)),
    "pickles": Kind("pickles", spoil_checkpoint, ("doctor .", "doctor . --quick true", REPLAY)),
    "configuration": Kind("configs", spoil_all_yaml, CONFIGURED),
    "results": Kind("results", at("*.json", spoil_text), ("import out/o.h5 .", "import out/o.h5 step1000.json")),
    "matrix": Kind("overlap", at("*.csv", spoil_csv), ("overlap matrix.csv --formats formats.csv",)),
}
