from .grid import Point as Point
from .grid import SweepSettings as SweepSettings
from .merging import merge_sweeps as merge_sweeps
