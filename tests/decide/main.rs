//! The life of a reservation (`docs/reservations.md`, contract 4.1 to 4.4) and the law of deciding: N commands
//! in one batch come to the same as the N commands one after another.
//!
//! `law` and `rules` try random histories, `table` goes through the table of states cell by cell, `stories`
//! tells the corner cases. All speak the language of `step`, so that what a failed property shrinks to can be
//! told as a story.

mod agree;
mod balance;
mod entry;
mod history;
mod law;
mod names;
mod quoted;
mod random;
mod reference;
mod row;
mod rules;
mod seed;
mod step;
mod store;
mod stories;
mod table;
mod telling;
mod told;
