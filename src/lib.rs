//! suture: a `BuildKit` frontend that patches container images with their own package manager.
pub mod pb;
