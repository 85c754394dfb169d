"""`ferlab explain`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import ferlab
from ferlab.cli.options import (
    DataOptions,
    JsonOption,
    PluginOption,
    ShowImagesOption,
    SplitOption,
    load_plugins,
)
from ferlab.cli.output import print_explanation
from ferlab.data import Dataset
from ferlab.data.image_folder import read_face
from ferlab.explanation.explain import ExplanationSummary, explain_split, write_classes, write_image
from ferlab.files import make_folder
from ferlab.json_files import SCHEMA


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder or .keras file.")],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Output file for the heat maps.")],
    image: Annotated[
        Path | None,
        typer.Argument(
            metavar="IMAGE", help="An image file. Its central square is used, or its largest face with --faces."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Explain a dataset instead of an image: the mean map of each class."),
    ] = None,
    split: SplitOption = "validation",
    images_per_class: Annotated[int, typer.Option(help="With --data: maximum number of images per class.", min=1)] = 50,
    show_images: ShowImagesOption = True,
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Show which regions of an image support each class, as Grad-CAM heat maps.

    For one image, with the probabilities:

        ferlab explain runs/newmodel photo.jpg --faces --out photo-explained.png

    For a dataset, as the mean map of each class:

        ferlab explain runs/newmodel --data fer2013.zip --out classes.png

    A sanity check compares the maps with those of untrained networks. A rank correlation near 0 means that the maps
    reflect what the model learned.
    """
    if (image is None) == (data is None):
        raise typer.BadParameter("Pass either an image or --data.", param_hint="IMAGE")
    if out.suffix.lower() != ".png":
        raise typer.BadParameter(f"The file name must end in .png, got {out.name}.", param_hint="--out")
    load_plugins(plugin)
    make_folder(out.parent)  # fail early if --out cannot be written
    about: dict[str, Any] = {"schema": SCHEMA, "model": model, "file": str(out)}
    if image is not None:
        about["image"] = str(image)
        summary = _explain_image(model, image, reading.faces, out)
    else:
        dataset = reading.load(str(data), model)
        about |= {"data": dataset.source, "split": split}
        summary = _explain_split(model, dataset, split, images_per_class, show_images, out)
    if json_:
        print(json.dumps(about | summary.as_dict()))
        return
    print_explanation(summary)
    print(f"\nHeat maps: {out}")


def _explain_image(model: str, image: Path, faces: bool, out: Path) -> ExplanationSummary:
    explanation = ferlab.explain(model, read_face(image, faces=faces)[None])
    write_image(explanation, out, f"{image.name}, {Path(model).name}")
    return explanation.summary()


def _explain_split(
    model: str, dataset: Dataset, split: str, images_per_class: int, show_images: bool, out: Path
) -> ExplanationSummary:
    explanation = explain_split(model, dataset, split, images_per_class=images_per_class)
    title = f"{Path(dataset.source).name}, {split} images, {Path(model).name}"
    write_classes(explanation, out, title, show_images=show_images)
    return explanation.summary()
