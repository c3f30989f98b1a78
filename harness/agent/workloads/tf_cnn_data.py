"""What tf_cnn trains on: upstream's synthetic images, a user's TFRecords, or TFRecords made from a seed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.agent.datasets.images import TRAINING_PARAMS, ImageSet, tensorflow_encoder
from harness.agent.datasets.stored import DataSetError, check_cifar10, damaged_shard, shards
from harness.agent.datasets.training_set import training_set
from harness.agent.messages import Scalar
from harness.agent.task import Context, Unavailable

# `data_dir` is upstream's flag, a folder inside the platform; `real_data` has the cell make one. Neither: synthetic.
PARAMS: dict[str, Scalar] = {"data_dir": "", "real_data": False, **TRAINING_PARAMS}


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the command line and the result say of the data, and what making them took."""

    flags: tuple[str, ...] = ()
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)


def conflict(params: Mapping[str, Scalar]) -> str:
    """Return why these data can't be made, empty if they can."""
    if params["real_data"] and params["data_dir"]:
        return "real_data makes a data set and data_dir names one. Set one of the two."
    if params["real_data"] and params["data_name"] != "imagenet":
        return "real_data makes TFRecords in ImageNet's layout. Set data_name to imagenet."
    return ""


def check(context: Context) -> None:
    """Raise Unavailable where data are to be made and there is no place for them."""
    if context.flag("real_data") and not context.spec.locations:
        raise Unavailable("tf_cnn: the platform offers no location to write the data set to")


@contextmanager
def prepared(context: Context, tensorflow: Any) -> Iterator[Data]:  # noqa: ANN401 - a module
    """Yield the data that the parameters ask for.

    Raises DataSetError in place of TensorFlow's own error if TFRecords are missing or one is cut.
    """
    given = context.text("data_dir")
    if given:
        with _blamed(context, Path(given), tensorflow):
            yield Data(flags=(f"--data_dir={given}",))
    elif context.flag("real_data"):
        started = time.perf_counter()
        images = ImageSet.to_train(context, tensorflow_encoder(tensorflow))
        with training_set(Path(context.spec.locations[0].path), "records", images) as stored:
            seconds = time.perf_counter() - started
            folder = stored.paths[0].parent
            with _blamed(context, folder, tensorflow):
                versions = {"data_set.records": stored.sha256}
                yield Data(flags=(f"--data_dir={folder}",), seconds=seconds, versions=versions)
    else:
        yield Data()


@contextmanager
def _blamed(context: Context, folder: Path, tensorflow: Any) -> Iterator[None]:  # noqa: ANN401 - a module
    """Only a failed training has its shards looked through: before one that would change what is in memory."""
    if context.text("data_name") == "cifar10":
        check_cifar10(folder)
        yield
        return
    shards(folder)
    try:
        yield
    except tensorflow.errors.OpError as error:
        if damage := damaged_shard(folder):
            raise DataSetError(damage) from error
        raise
