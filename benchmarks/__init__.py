"""Rows, load and measurements for the tests of upgrades and for `make bench`."""
