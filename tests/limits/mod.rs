//! Hostile and broken input: a clear error each, nothing lost, the process alive, memory bounded.

mod bombs;
mod definitions;
mod hostile;
mod quotas;
mod requests;
mod tenants;
