//! The directory against real files and a real HTTP server: what it takes, what it refuses, and how fast.

mod files;
mod live;
mod release;
mod scale;
