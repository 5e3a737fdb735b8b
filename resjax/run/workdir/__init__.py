"""The workdir of a comparison: its lock, its files, the folder of each replica, and the check of the recipe."""
