"""Options of the dataset `hf`; importing this module does not import `datasets`."""

from __future__ import annotations

from pydantic import Field, model_validator

from latte.api import PathText, SourceOptions


class HuggingFaceOptions(SourceOptions):
    """Options of the dataset `hf`; exactly one of `path` and `repository` must be set."""

    path: PathText | None = Field(
        default=None,
        description="a folder that save_to_disk wrote, a parquet file, or a folder with parquet "
        "files or images that load_dataset reads",
    )
    repository: str | None = Field(
        default=None, description="a dataset's name on the hub, such as ethz/food101"
    )
    revision: str | None = Field(
        default=None, description="with repository: the commit (or tag) on the hub; needed"
    )
    config: str | None = Field(default=None, description="the configuration, if there are several")
    train: str = Field(default="train", description="the split to adapt to")
    evaluation: str | None = Field(default="test", description="the labelled split, or none")
    image: str = Field(default="image", description="the column with images")
    label: str = Field(
        default="label", description="the column with labels; in train, for reports only"
    )
    files: PathText | None = Field(
        default=None,
        description="folder of images that rows name by path; without it, such images must be "
        "below path or in the library's cache",
    )
    classes: tuple[str, ...] | None = Field(
        default=None,
        description="class names in label order; without them, the label column's own names",
    )

    @model_validator(mode="after")
    def _says_where(self) -> HuggingFaceOptions:
        if (self.path is None) == (self.repository is None):
            raise ValueError("needs either path or repository")
        if self.repository is not None and self.revision is None:
            raise ValueError(
                "repository needs a revision, or the data could change between two runs: take the "
                "commit from the dataset's page (Files and versions)"
            )
        if self.path is not None and self.revision is not None:
            raise ValueError("revision belongs to repository")
        if self.evaluation == self.train:
            raise ValueError("evaluation is train: training would see what it is measured on")
        return self
