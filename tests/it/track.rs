//! What comes back: journeys from a sent message through the practice HISP's notices to its end, on both engines. The cases
//! of the Edge Testing Tool (delivery notification, MT) that concern a sender have their number in their name.

mod clocks;
mod edge;
mod fallback;
mod letters;
mod notices;
mod peers;
mod renewed;
mod scenarios;
mod shared;
mod world;
