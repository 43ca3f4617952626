"""The table of published weights that `vertebra models --pretrained` prints."""

import json


def show_weights(name: str | None, *, as_json: bool) -> None:
    """Prints the weights of one model, on the shelf or of timm, or those of all on the shelf.

    Raises:
        NameLookupError: no such model; the message offers the nearest one.
        MissingExtra: the model is of timm, which is not installed.
    """
    from vertebra.models.catalogue import Weights, catalogue, catalogue_of
    from vertebra.models.shelf import find_entry
    from vertebra.report.terminal import names_table, open_console

    def row(each: Weights) -> tuple[str, ...]:
        top1 = "" if each.top1 is None else f"{each.top1:.2%}"
        stated = (each.licence or "not stated", each.training_data or "not stated")
        return each.model, each.source, *stated, top1, str(each.image_size)

    if name is None:
        weights = catalogue()
    elif find_entry(name).family.name == "timm":
        from vertebra.models.timm_library import PREFIX, weights_of

        weights = weights_of(name.removeprefix(PREFIX))
    else:
        weights = catalogue_of(name)
    if as_json:
        print(json.dumps([each._asdict() for each in weights], indent=2))
        return
    columns = ("model", "weights", "licence", "learnt from", "top-1", "at px")
    open_console().print(names_table(columns, [row(each) for each in weights], numbers=2))
    print(f"\n{len(weights)} published weights; the first of a model are its default")
    print("use them with `vertebra train PATH --model MODEL --pretrained [--weights WEIGHTS]`")
