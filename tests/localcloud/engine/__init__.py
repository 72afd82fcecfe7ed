# A package, so that its fixtures are undone with its last test.
