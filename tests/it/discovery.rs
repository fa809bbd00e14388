//! Finding certificates, by real name servers and directories.

mod cache;
mod commands;
mod dcdt;
mod delivery;
mod dns;
mod hostile;
mod ldap;
mod world;
