//! Benchmarks: programs in `examples/`, and scripts in Python that run `netcrab` against its rivals.
