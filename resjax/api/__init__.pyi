from .comparing import compare as compare
from .verdicts import ComparisonResult as ComparisonResult
from .verdicts import verdict as verdict
from .verdicts import verdicts as verdicts
