//! `cargo lab`: the offline world of the tests, for people as much as for tests.

fn main() {}
