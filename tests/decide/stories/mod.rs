//! The corner cases.

mod all_or_nothing;
mod events;
mod lapse;
mod messages;
mod one_hold;
mod parts;
mod release;
