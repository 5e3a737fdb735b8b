"""Studies of our own methods: do the verdicts keep their promise, and which thresholds find near-duplicates?"""
