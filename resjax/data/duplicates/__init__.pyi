from .groups import copy_groups as copy_groups
from .groups import expected_leak as expected_leak
from .groups import without_swallowed_classes as without_swallowed_classes
from .near_duplicates import cached_near_duplicate_groups as cached_near_duplicate_groups
from .near_duplicates import near_duplicate_groups as near_duplicate_groups
