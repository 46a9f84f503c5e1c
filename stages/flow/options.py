"""The options of the stage: those of the flow, and what concerns the frame rather than the estimator."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, create_model

from pipeline import stage
from raftline.flow.accuracy import CHOSEN, Accuracy
from raftline.flow.options import FlowOptions, current_value

_AUTO = "auto: as exact as the readers need it"
_MAX_SIDE = (
    "longer side, px, to which larger frames are scaled down before flow is estimated; the flow is scaled up again; "
    "null: full size"
)
_STILL = (
    "once nothing but noise has changed for this long, s, frames have zero flow, which takes hardly any time, until "
    "something changes; null: never"
)

_STORE = (
    "folder in which the flow between two frames is looked for before it is estimated, and kept, for other runs of the "
    "same file; not where flow at every pixel is wanted. raftline batch uses one for long files; null: none"
)
_SECTION = (
    "flow begins anew every so many minutes of a file, so that parts of a long one can be worked on separately with "
    "the same result; as that of the stabilization; in minutes"
)


def _options_model() -> type[stage.Stage.Options]:
    """FlowOptions, checked by pydantic, what concerns the frame rather than the estimator, and how exact all that is.

    What follows from the accuracy (`raftline.flow.accuracy`) is ``auto`` by default.
    """
    fields: dict[str, Any] = {field.name: _option(field) for field in dataclasses.fields(FlowOptions)}
    sides = _or_auto(Annotated[int | None, Field(ge=64)])
    described = (
        f"{fields['estimator'][1].description}; auto: raft on a GPU or where a reader needs exact flow (accuracy: "
        "pixels or full), else dis"
    )
    fields["estimator"] = (_or_auto(fields["estimator"][0]), Field("auto", description=described))
    fields["max_side_px"] = (sides, Field("auto", description=f"{_MAX_SIDE}; {_AUTO}"))
    described = "how exact the flow has to be, and with it each option that is auto; auto: as the strictest reader asks"
    fields["accuracy"] = (_or_auto(Accuracy), Field("auto", description=described))
    fields["still_seconds"] = (Annotated[float | None, Field(ge=0.75, le=600)], Field(1.0, description=_STILL))
    fields["section_minutes"] = (float, Field(5.0, gt=0, description=_SECTION))
    fields["store"] = (str | None, Field(None, description=_STORE))
    return create_model("Options", __base__=stage.Stage.Options, __module__=__name__, **fields)


def _option(field: dataclasses.Field[Any]) -> tuple[Any, Any]:
    """Type and default of a field of FlowOptions, as pydantic's `create_model` takes them."""
    metadata = field.metadata
    description = metadata["description"] + (f"; null: {metadata['none']}" if metadata["none"] else "")
    if field.name in CHOSEN:
        kind = _or_auto(Annotated[field.type, Field(**metadata["bounds"])])  # type: ignore[valid-type]
        return kind, Field("auto", description=f"{description}; {_AUTO}")
    checked = Annotated[field.type, BeforeValidator(partial(current_value, field))]  # type: ignore[valid-type]
    return checked, Field(field.default, description=description, **metadata["bounds"])


def _or_auto(kind: Any) -> Any:
    return kind | Literal["auto"]


Options = _options_model()
