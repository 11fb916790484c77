"""Instances of six SOP Classes, whole or with a token in every place that can tell a person."""

from tests.planted.building import keywords, written
from tests.planted.classes import INSTANCES
from tests.planted.mr import NAME, SURVIVE, mr_instance
from tests.planted.planting import planted, planted_part10, surviving

__all__ = [
    "INSTANCES",
    "NAME",
    "SURVIVE",
    "keywords",
    "mr_instance",
    "planted",
    "planted_part10",
    "surviving",
    "written",
]
