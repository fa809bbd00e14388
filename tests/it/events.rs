//! Events out: the feed, the webhooks that are told of it, and what programs ask for.

mod commands;
mod feed;
mod judges;
mod metering;
mod pull;
pub(crate) mod receiver;
mod telling;
