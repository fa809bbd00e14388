mod candidates;
mod commands;
mod faults;
mod inner;
mod matrix;
mod mutated;
mod revoked;
mod world;
