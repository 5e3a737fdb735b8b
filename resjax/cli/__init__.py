"""The command line: flags, the frame of a program, one module a command, and the console command `resjax`."""
