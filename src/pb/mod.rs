//! Messages of the gateway protocol, generated from `proto/`.
//!
//! `cargo test --test generated` checks that `generated.rs` is what the definitions give, and
//! rewrites it if it is not. Only `llb` and `gateway` use these types.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::disallowed_types,
    unused_qualifications,
    reason = "generated code follows its generator's style"
)]

include!("generated.rs");
