#!/bin/sh
# What cargo calls in the place of rustc for our own crates: clippy looks at what is compiled, and a warning is an error.
exec clippy-driver "$@" -D warnings
