"""The commands that write RESULTS.md. tests/support has the load generator and the measurements."""
