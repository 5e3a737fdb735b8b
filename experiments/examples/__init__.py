"""Worked examples of resjax in other research; each runs by itself, and a test runs it."""
