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
from openrs_core.recipe.data import PromptSection, Source, source
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A source, and where a recipe names it.

    Example:
        Named(key="data.train", text="openai/gsm8k", split="train", data=recipe.data)
    """

    key: str
    """What a fault begins with."""
    text: str
    """As the recipe has it (see `openrs_core.recipe.data.source`)."""
    split: Split
    """What it is for: which half of the toy, which split of the hub's data set."""
    data: PromptSection
    """The columns."""

    @property
    def source(self) -> Source:
        """Where it is."""
        return source(self.text)

    @property
    def columns(self) -> list[str]:
        """Those that are read."""
        return ["id", self.data.problem_field, self.data.answer_field]

    def __str__(self) -> str:
        return f"{self.key} is {self.text!r}"


def read_rows(named: Named, recipe: RingRecipe) -> Iterator[Numbered]:
    """Every row of a source, with its number; the recipe says which toy.

    Raises:
        RunError: the file or the data set is not there, or is damaged.
    """
    if named.source.kind == "toy":
        yield from enumerate(_toy(named, recipe), start=1)
    elif named.source.kind == "hub":
        yield from enumerate(_hub(named), start=1)
    else:
        yield from _file(named)


def _toy(named: Named, recipe: RingRecipe) -> Iterator[Columns]:
    for chain in take(named.split, recipe.toy.terms, recipe.seed, PROBLEMS[named.split]):
        yield {
            "id": f"chain-sum/{chain.expression}",
            named.data.problem_field: chain.problem,
            named.data.answer_field: chain.answer,
        }


# --- files ---------------------------------------------------------------------------------------


def _file(named: Named) -> Iterator[Numbered]:
    path = Path(expanduser(named.source.name))
    try:
        if path.suffix == ".parquet":
            yield from enumerate(_parquet(path, named), start=1)
        else:
            packed = path.suffix == ".gz"
            with gzip.open(path) if packed else path.open("rb") as file:
                yield from _json(file)  # type: ignore[arg-type]  # gzip's has all that is used
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(
            f"{named}: it begins as one JSON array and is none ({error}); "
            "write an object a line, or mend the array"
        ) from error
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{named}: it cannot be read ({reason}); give a sound file") from error


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


def _parquet(path: Path, named: Named) -> Iterator[Columns]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            columns = _there(named.columns, file.schema_arrow.names)
            for batch in file.iter_batches(BATCH, columns=columns):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise RunError(f"{named}: it is no Parquet file ({error}); give a sound one") from error


def _there(wanted: list[str], names: list[str]) -> list[str]:
    """What of the columns is read: all of them where one is missing, as the fault names them."""
    return [name for name in wanted if name in names] if set(wanted[1:]) <= set(names) else names


# --- the hub -------------------------------------------------------------------------------------


def _hub(named: Named) -> Iterator[Columns]:
    """A data set of the Hugging Face hub, or of its cache."""
    whole = _loaded(named, None)
    chosen = _split(named, list(whole))
    rows = whole[chosen] if chosen in whole else _loaded(named, chosen)  # slices
    columns = _there(named.columns, rows.column_names)
    for table in rows.select_columns(columns).with_format("arrow").iter(BATCH):
        yield from table.to_pylist()


def _loaded(named: Named, chosen: str | None) -> Any:
    """Some splits of a data set as one table; None: all, by name."""
    from datasets import load_dataset

    source = named.source
    try:
        return load_dataset(source.name, source.config or None, split=chosen)
    except Exception as error:
        reason = " ".join(str(error).split())[:500]
        raise RunError(
            f"{named}: neither the hub nor its cache gives such a data set "
            f"({type(error).__name__}: {reason}); give a file, or a hub id owner/name"
        ) from error


def _split(named: Named, there: list[str]) -> str:
    """Which of the splits that are there is meant; what is held out is never `train` unasked.

    Raises:
        RunError: naming those that are there.
    """
    if named.source.split:
        wanted = named.source.splits
        if set(wanted) <= set(there):
            return named.source.split
    else:
        wanted = ["train"] if named.split == "train" else ["test", "validation"]
        if found := next((name for name in wanted if name in there), ""):
            return found
    raise RunError(
        f"{named}: it has no split {' or '.join(map(repr, wanted))}, but "
        f"{', '.join(map(repr, there))}; name one: owner/name:split"
    )
