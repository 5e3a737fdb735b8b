"""The flags of the commands: their definitions, and what their words come to."""
