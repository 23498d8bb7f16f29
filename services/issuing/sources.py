"""Where rows are read from: the toy, JSON lines, a JSON array, Parquet, the hub.

Rows are numbered from 1; in a file of JSON lines the number is the line's. A row that cannot be
read comes as `Unreadable`, and the next one follows. (The reader of JSON in `datasets` and that in
pyarrow give up a file for one line, and make one type of a column: a text `"2"` becomes the number
2 where another row has a number.)
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from typing import IO, Any

from openrs_core.errors import RunError
from openrs_core.recipe.data import Source
from openrs_core.recipe.ring import RingRecipe
from services.toy.task import PROBLEMS, Split, take

BATCH = 4096
"""Rows of a table that are turned into Python's objects at a time."""

_BOM = b"\xef\xbb\xbf"

_DAMAGED = (OSError, EOFError, zlib.error, ValueError)
"""What opening, unpacking and decoding a file raise."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is none, and why."""

    reason: str


Columns = Mapping[str, Any]
Numbered = tuple[int, Columns | Unreadable]


def read_rows(recipe: RingRecipe, source: Source, split: Split) -> Iterator[Numbered]:
    """Every row of a source, with its number.

    Raises:
        RunError: the file or the data set is not there, or is damaged.
    """
    wanted = ["id", recipe.data.problem_field, recipe.data.answer_field]
    if source.kind == "toy":
        yield from enumerate(_toy(recipe, split), start=1)
    elif source.kind == "hub":
        yield from enumerate(_hub(source, split, wanted), start=1)
    else:
        yield from _file(Path(expanduser(source.name)), split, wanted)


def _toy(recipe: RingRecipe, split: Split) -> Iterator[Columns]:
    for chain in take(split, recipe.toy.terms, recipe.seed, PROBLEMS[split]):
        yield {
            "id": f"chain-sum/{chain.expression}",
            recipe.data.problem_field: chain.problem,
            recipe.data.answer_field: chain.answer,
        }


# --- files ---------------------------------------------------------------------------------------


def _file(path: Path, split: Split, wanted: list[str]) -> Iterator[Numbered]:
    try:
        if path.suffix == ".parquet":
            yield from enumerate(_parquet(path, split, wanted), start=1)
        else:
            packed = path.suffix == ".gz"
            with gzip.open(path) if packed else path.open("rb") as file:
                yield from _json(file)  # type: ignore[arg-type]  # gzip's has all that is used
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(
            f"data.{split} is {str(path)!r}: it begins as one JSON array and is none ({error}); "
            "write an object a line, or mend the array"
        ) from error
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(
            f"data.{split} is {str(path)!r}: it cannot be read ({reason}); give a sound file"
        ) from error


def _json(file: IO[bytes]) -> Iterator[Numbered]:
    """Lines or, where the first character says so, one array."""
    first = file.readline().removeprefix(_BOM)
    if first.lstrip().startswith(b"["):
        array = _DECODER.decode((first + file.read()).decode().strip())
        yield from enumerate(map(_object, array), start=1)
        return
    for number, line in enumerate(_with_first(first, file), start=1):
        if line.strip():
            yield number, _line(line)


def _with_first(first: bytes, others: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


# Numbers stay as they are written: 2.50, or five thousand digits. NaN is no answer.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None)


def _line(line: bytes) -> Columns | Unreadable:
    try:
        return _object(_DECODER.decode(line.decode().strip()))
    except UnicodeDecodeError:
        return Unreadable("it is not in UTF-8")
    except (ValueError, RecursionError):
        return Unreadable("it is no JSON")


def _object(value: Any) -> Columns | Unreadable:
    return value if isinstance(value, dict) else Unreadable("it is no JSON object")


def _parquet(path: Path, split: Split, wanted: list[str]) -> Iterator[Columns]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            columns = _there(wanted, file.schema_arrow.names)
            for batch in file.iter_batches(BATCH, columns=columns):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise RunError(
            f"data.{split} is {str(path)!r}: it is no Parquet file ({error}); give a sound one"
        ) from error


def _there(wanted: list[str], names: list[str]) -> list[str]:
    """What of the columns is read: all of them where one is missing, as the fault names them."""
    return [name for name in wanted if name in names] if set(wanted[1:]) <= set(names) else names


# --- the hub -------------------------------------------------------------------------------------


def _hub(source: Source, split: Split, wanted: list[str]) -> Iterator[Columns]:
    """A data set of the Hugging Face hub, or of its cache."""
    whole = _loaded(source, split, None)
    chosen = _split(source, split, list(whole))
    rows = whole[chosen] if chosen in whole else _loaded(source, split, chosen)  # slices
    columns = _there(wanted, rows.column_names)
    for table in rows.select_columns(columns).with_format("arrow").iter(BATCH):
        yield from table.to_pylist()


def _loaded(source: Source, split: Split, chosen: str | None) -> Any:
    """Some splits of a data set as one table; None: all, by name."""
    from datasets import load_dataset

    try:
        return load_dataset(source.name, source.config or None, split=chosen)
    except Exception as error:
        reason = " ".join(str(error).split())[:500]
        raise RunError(
            f"data.{split} is {source.name!r}: neither the hub nor its cache gives such a data set "
            f"({type(error).__name__}: {reason}); give a file, or a hub id owner/name"
        ) from error


def _split(source: Source, split: Split, there: list[str]) -> str:
    """Which of the splits that are there is meant; what is held out is never `train` unasked.

    Raises:
        RunError: naming those that are there.
    """
    if source.split:
        wanted = source.splits
        if set(wanted) <= set(there):
            return source.split
    else:
        wanted = ["train"] if split == "train" else ["test", "validation"]
        if found := next((name for name in wanted if name in there), ""):
            return found
    raise RunError(
        f"data.{split} is {source.name!r}: it has no split {' or '.join(map(repr, wanted))}, but "
        f"{', '.join(map(repr, there))}; name one: owner/name:split"
    )
