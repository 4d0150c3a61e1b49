"""One project per file: facts that were read in its source, and where."""
