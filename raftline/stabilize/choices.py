"""What can be chosen for stabilization, by name. Importing this needs no array library."""

from typing import Literal

Method = Literal["optimal", "gaussian"]
Zooming = Literal["static", "dynamic", "none"]
Border = Literal["mirror", "blur", "fill"]
Interpolation = Literal["linear", "cubic", "lanczos"]
