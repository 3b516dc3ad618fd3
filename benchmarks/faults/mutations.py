"""Study files and data sets, and how they are made wrong: for `files.py`, and for the tests.

A study file is changed as people change them (a key misspelled, a bracket left open, a line twice), as machines do
(bytes flipped, lost, cut off), and by odd values anywhere; and in ways that mean the same, which must stay valid.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GOOD = (
    """\
study: small
data: digits
model: mlp
space:
  depth: {int: [1, 2]}
  lr: {float: [1e-4, 1e-1], log: true}
""",
    """\
study: digits-convnet
data: digits                  # a name, a path, or module:function
model: convnet
space:
  depth: {int: [1, 3]}
  feature_maps: {choice: [8, 16]}
  lr: {float: [1.0e-4, 1.0e-1], log: true}
  dropout: {float: [0.0, 0.6]}
  optimizer: {choice: [sgd, adamw]}
  momentum: {float: [0, 0.99], when: {optimizer: sgd}}
trainer: {epochs: 30, batch_size: 64, patience: 5, parts: [4, 1, 1]}
strategy: bayes
pruner: asha
trials: 60
seed: 0
""",
    """\
study: many-keys
data: {path: digits}
model: mlp
space:
  depth: 2
  lr:
    float: [0.001, 0.1]
    log: true
    prior: {guess: 0.01, confidence: 0.7}
trainer:
  epochs: 3
  optimizer: adam
  label_smoothing: 0.1
metric: [accuracy, parameters]
strategy: {name: random}
limits: {parameters: 2e6, memory: 8GB}
minutes: 30
total_epochs: 900
workers: 1
lanes: auto
plan: auto
keep: 3
mlflow: null
executor: processes
""",
)
WORDS = (
    *("", "null", "true", "~", "[]", "{}", "-1", "0", "1e309", "-.inf", ".nan", "99999999999999999999", "1e-400", "x"),
    *("[1, 2", "'a", '"', "*a", "&a 1", "!!python/object:os.system", "- 1", "? a", "%YAML 1.1", "---", "..", "../x"),
    *(
        "a\\0b",
        "\u202e",
        "é",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "os:system",
        "[[[[]]]]",
    ),
    *("{float: [1, 0]}", "{int: [1.5, 2]}", "{choice: []}", "{choice: [1, [2]]}", "{when: {a: 1}}", "int", "float"),
)
KEYS = (
    *(
        "study",
        "data",
        "model",
        "space",
        "trainer",
        "metric",
        "direction",
        "strategy",
        "pruner",
        "trials",
        "seed",
        "lr",
    ),
    *("depth", "float", "int", "log", "step", "when", "choice", "epochs", "batch_size", "limits", "name", "path", "<<"),
)


def mutated(text: str, chance: random.Random) -> bytes:
    """Returns a study file with one to three things about it changed; some come out valid."""
    content = text.encode()
    for _ in range(chance.randint(1, 3)):
        content = chance.choice(CHANGES)(content, chance)
    return content


def unchanged(text: str, chance: random.Random) -> bytes:
    """Returns a study file that says the same otherwise: comments, blank lines, order, or as JSON."""
    kind = chance.randrange(5)
    lines = text.splitlines()
    if kind == 0:
        lines = [f"{line}  # {chance.choice(('why', 'ü', 'a: b', '[{'))}" for line in lines]
    elif kind == 1:
        lines = [part for line in lines for part in (line, "")]
    elif kind == 2:
        blocks: list[list[str]] = []
        for line in lines:
            (blocks[-1] if line[0] == " " else blocks.append([]) or blocks[-1]).append(line)
        chance.shuffle(blocks)
        lines = [line for block in blocks for line in block]
    elif kind == 3:
        return text.replace("\n", "\r\n").encode()
    else:
        return json.dumps(plain(text), indent=chance.choice((None, 2))).encode()
    return ("\n".join(lines) + "\n").encode()


def plain(text: str) -> Any:
    """Returns a good file's values."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def _flip(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) or 1)
    return content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]


def _drop(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) or 1)
    return content[:place] + content[place + chance.randint(1, 4) :]


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) or 1)]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) or 1)
    return content[:place] + chance.choice(WORDS).encode("utf-8", "surrogatepass") + content[place:]


def _line(content: bytes, chance: random.Random) -> bytes:
    """Doubles, drops, swaps or indents a line."""
    lines = content.split(b"\n")
    place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            lines.insert(other, lines[place])
        case 1:
            del lines[place]
        case 2:
            lines[place], lines[other] = lines[other], lines[place]
        case _:
            lines[place] = chance.choice((b" ", b"  ", b"\t")) + lines[place]
    return b"\n".join(lines)


def _value(content: bytes, chance: random.Random) -> bytes:
    """Puts another value behind a key."""
    lines = content.split(b"\n")
    keyed = [place for place, line in enumerate(lines) if b":" in line]
    if keyed:
        place = chance.choice(keyed)
        lines[place] = lines[place].split(b":")[0] + b": " + chance.choice(WORDS).encode("utf-8", "surrogatepass")
    return b"\n".join(lines)


def _key(content: bytes, chance: random.Random) -> bytes:
    """Gives a key another name, or misspells it."""
    lines = content.split(b"\n")
    keyed = [place for place, line in enumerate(lines) if b":" in line]
    if keyed:
        place = chance.choice(keyed)
        key, _, rest = lines[place].partition(b":")
        letters = bytearray(key.lstrip())
        chance.shuffle(letters)
        new = bytes(letters) if chance.random() < 0.5 else chance.choice(KEYS).encode()
        lines[place] = key[: len(key) - len(key.lstrip())] + new + b":" + rest
    return b"\n".join(lines)


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _drop,
    _cut,
    _insert,
    _line,
    _value,
    _value,
    _key,
)


# Data sets


def data_sets(folder: Path) -> dict[str, Path]:
    """Writes a small good data set of each format into a folder; returns what a study file calls them."""
    chance = np.random.default_rng(0)
    images = chance.integers(0, 255, (40, 8, 8), dtype=np.uint8)
    labels = (np.arange(40) % 2).astype(np.uint8)
    rows = "x,z,y\n" + "".join(
        f"{x:.3f},{z:.3f},{'ab'[label]}\n" for (x, z), label in zip(chance.random((40, 2)), labels, strict=True)
    )
    found = {
        "table.csv": folder / "table.csv",
        "packed.csv.gz": folder / "packed.csv.gz",
        "t.parquet": folder / "t.parquet",
    }
    found["table.csv"].write_text(rows)
    found["packed.csv.gz"].write_bytes(gzip.compress(rows.encode()))
    import pandas

    pandas.read_csv(io.StringIO(rows)).to_parquet(found["t.parquet"])
    np.savez_compressed(folder / "mine.npz", x=images, y=labels)
    for name, arrays in (("arrays", {"inputs.npy": images, "targets.npy": labels}),):
        (folder / name).mkdir()
        for file, array in arrays.items():
            np.save(folder / name / file, array)
    (folder / "idx").mkdir()
    for file, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte.gz", labels)):
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        content = head + array.tobytes()
        (folder / "idx" / file).write_bytes(gzip.compress(content) if file.endswith("gz") else content)
    from PIL import Image

    for place, image in enumerate(images[:16]):
        path = folder / "pictures" / "ab"[place % 2] / f"{place}.{('png', 'jpg', 'bmp')[place % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    _cifar(folder / "cifar.tar.gz", chance)
    return {**found, **{name: folder / name for name in ("mine.npz", "arrays", "idx", "pictures", "cifar.tar.gz")}}


def _cifar(path: Path, chance: np.random.Generator) -> None:
    with tarfile.open(path, "w:gz") as archive:
        files = {f"data_batch_{part}.bin": 4 for part in range(1, 6)} | {"test_batch.bin": 4, "batches.meta.txt": 0}
        for name, count in files.items():
            records = b"".join(bytes([row % 2]) + chance.bytes(3072) for row in range(count))
            content = records or b"cat\ndog\n"
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def break_data(path: Path, chance: random.Random) -> None:
    """Breaks one of a data set's files: bytes flipped, zeroed, added or cut off, or all of it gone."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    file = chance.choice(files)
    content = file.read_bytes()
    match chance.randrange(8):
        case 0:
            content = _cut(content, chance)
        case 1:
            content = b""
        case 2:
            content = bytes(len(content))
        case 3:
            content += chance.randbytes(chance.randint(1, 1000))
        case 4 if path.is_dir():
            file.unlink()
            return
        case 5:
            place = chance.randrange(len(content))
            content = content[:place] + chance.randbytes(64) + content[place + 64 :]
        case _:
            for _ in range(chance.randint(1, 5)):  # near the beginning, where headers are
                content = _flip(content[:64], chance) + content[64:]
    file.write_bytes(content)
