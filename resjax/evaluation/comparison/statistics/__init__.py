"""Statistics of numbers alone: intervals, tests, and what a comparison can detect, without networks or records."""
