"""What can be chosen for the network, by name. Importing this needs no torch."""

from typing import Literal

CorrelationMode = Literal["all-pairs", "on-demand"]
CorrelationChoice = Literal["auto", "all-pairs", "on-demand"]
PrecisionName = Literal["float32", "float16", "bfloat16", "int8"]
PrecisionChoice = Literal["auto", "float32", "float16", "bfloat16", "int8"]
RuntimeName = Literal["torch", "openvino"]
RuntimeChoice = Literal["auto", "torch", "openvino"]
