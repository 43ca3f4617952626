"""`vertebra models show NAME --operators`: which operators a model or a run needs."""

import json
from collections import Counter
from pathlib import Path


def show_operators(name: str, *, image_size: int | None, as_json: bool) -> None:
    """Prints how often each operator is needed, and which of them not every accelerator has.

    name: of a model, or the folder of a run.

    Raises:
        NameLookupError, CheckpointError: there is no such model, and no such run.
    """
    from vertebra.models.operators import operators
    from vertebra.models.shelf import find_entry
    from vertebra.recipes.materials import build_model
    from vertebra.recipes.shelf import load
    from vertebra.records import RunDirectory
    from vertebra.report.terminal import names_table, open_console
    from vertebra.tasks.classify import create_model
    from vertebra.uncompiled import outline

    with outline():
        if Path(name).is_dir():
            recipe = load(RunDirectory(Path(name)).require().path)
            model, size = build_model(recipe, 2), recipe.phases[-1].data.preprocess.image_size
        else:
            size = find_entry(name).image_size
            model = create_model(name, num_classes=2)
    found = operators(model, image_size=image_size or size, in_channels=model.backbone.in_channels)
    first = {each.name: each for each in reversed(found)}
    columns = ("operator", "times", "everywhere", "first in")
    rows = [
        (name, count, first[name].is_supported, first[name].where)
        for name, count in Counter(each.name for each in found).items()
    ]
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
        return
    said = [(name, count, "yes" if has else "no", where) for name, count, has, where in rows]
    open_console().print(names_table(columns, said))
    missing = sum(not has for _, _, has, _ in rows)
    print(f"\n{missing} of {len(rows)} operators are not on every accelerator")
