"""`ferlab explain`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import (
    CacheOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    PluginOption,
    SkipBadOption,
    SplitOption,
    load,
    load_plugins,
)
from ferlab.cli.output import print_explanation
from ferlab.files import make_folder
from ferlab.runs import SCHEMA


def explain(
    model: Annotated[str, typer.Argument(help="A run folder or .keras file.")],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture of the maps.")],
    image: Annotated[
        Path | None, typer.Argument(help="A picture file. Its middle square is taken, or its face with --faces.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Instead of a picture: mean maps of each class over a split of this data."),
    ] = None,
    split: SplitOption = "validation",
    images: Annotated[int, typer.Option(help="Images of each class of the data, at most.", min=1)] = 50,
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data set. FER2013's terms forbid passing them on.")
    ] = True,
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Show where a model sees each class, by Grad-CAM, and whether that comes from what it has learned.

    In one picture, with the probabilities:

        ferlab explain runs/newmodel photo.jpg --faces --out photo-explained.png

    Over a data set, as the mean map of each class:

        ferlab explain runs/newmodel --data fer2013.zip --out classes.png

    The rank correlation compares the maps with those of untrained networks: near 0 they show what was learned.
    """
    if (image is None) == (data is None):
        raise typer.BadParameter("Give either a picture or --data.", param_hint="IMAGE")
    if out.suffix.lower() != ".png":
        raise typer.BadParameter("The file must be called .png.", param_hint="--out")
    load_plugins(plugin)
    make_folder(out.parent)  # before the long work, so that a bad --out is told at once
    from ferlab.explanation import explain as explaining

    about = {"schema": SCHEMA, "model": model, "file": str(out)}
    if image is not None:
        from ferlab.data.image_folder import read_face

        found = explaining.explain(model, read_face(image, faces=faces)[None])
        explaining.write_picture(found, out, f"{image.name}, {Path(model).name}")
        result = about | {"image": str(image)} | explaining.describe_picture(found)
    else:
        dataset = load(str(data), skip_bad, cache, faces, exclude)
        classes = explaining.explain_split(model, dataset, split, images_per_class=images)
        title = f"{Path(dataset.source).name}, {split} images, {Path(model).name}"
        explaining.write_classes(classes, out, title, pictures=pictures)
        result = about | {"data": dataset.source, "split": split} | explaining.describe_classes(classes)
    if json_:
        print(json.dumps(result))
        return
    print_explanation(result)
    print(f"\nPicture: {out}")
