"""Duplicate groups: finds near-duplicates, describes the groups, and computes the leaks to expect from them."""
