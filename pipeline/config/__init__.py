"""The configuration: the YAML's schema, and the checked plan that is made of it."""

from pipeline.config.loading import load_config
from pipeline.config.names import source_name
from pipeline.config.plan import Plan, SourcePlan, StagePlan
from pipeline.config.schema import Config, Limits
from pipeline.config.wiring import check_inputs, make_plan

__all__ = [
    "Config",
    "Limits",
    "Plan",
    "SourcePlan",
    "StagePlan",
    "check_inputs",
    "load_config",
    "make_plan",
    "source_name",
]
