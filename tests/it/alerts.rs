//! People are told: of each change once, whatever dies in between; and never per retry.

mod bounds;
mod channels;
mod command;
mod conditions;
mod lives;
mod office;
mod own;
mod served;
