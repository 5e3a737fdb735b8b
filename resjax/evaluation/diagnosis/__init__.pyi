from .explanations import explain as explain
from .reliability import temperature_scaling as temperature_scaling
from .rules import KINDS as KINDS
