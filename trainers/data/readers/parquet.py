"""Tables in Parquet files (https://parquet.apache.org/docs/file-format/)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ....errors import DataError
from .optional import needed, one_line
from .packed import check_expansion, check_width

if TYPE_CHECKING:
    from pandas import DataFrame

_INDEX = re.compile(r"__index_level_\d+__")  # how pandas writes the labels of rows
SUFFIXES = (".parquet", ".pq")


def read_parquet(path: Path) -> DataFrame:
    """Returns the columns and rows of a Parquet file.

    Raises `DataError` where it is damaged or no Parquet file, claims more rows than its bytes could hold, or pyarrow
    isn't installed.
    """
    arrow = needed("pyarrow", "pyarrow", f"{path}: Parquet")
    parquet = needed("pyarrow.parquet", "pyarrow", f"{path}: Parquet")
    try:
        with parquet.ParquetFile(path) as file:  # not `read_table`, which makes columns of folders called `a=1`
            says = file.metadata
            check_width(str(path), says.num_columns)
            packed = [says.row_group(place).total_byte_size for place in range(says.num_row_groups)]
            check_expansion(str(path), max(sum(packed), 8 * says.num_rows * says.num_columns), path.stat().st_size)
            table = file.read()
        # What pandas notes about itself isn't needed, and isn't checked when it is read.
        frame = cast("DataFrame", table.to_pandas(date_as_object=False, ignore_metadata=True))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: the Parquet file can't be read: {one_line(error)}") from error
    return frame.drop(columns=[name for name in frame.columns if _INDEX.fullmatch(str(name))])
