//! Graphs of a patch, and what passes between them and the agent.
pub mod task;
