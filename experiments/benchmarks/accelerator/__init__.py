"""`--suite=accelerator`: what a card must show, in a few minutes of its time and in order of value."""
