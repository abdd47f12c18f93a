//! Where an image gets its packages from, read out of its own configuration.

pub mod apk;
pub mod apt;
pub mod rpm;
