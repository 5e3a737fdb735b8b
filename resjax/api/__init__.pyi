from .comparing import compare as compare
from .runs import Run as Run
from .runs import load_run as load_run
from .verdicts import ComparisonResult as ComparisonResult
from .verdicts import verdict as verdict
from .verdicts import verdicts as verdicts
