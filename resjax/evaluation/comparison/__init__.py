"""The statistics of a comparison: intervals, tests, planning, and the verdict on two networks."""
