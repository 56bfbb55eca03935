//! The rules of reserving and releasing (contract 4.1 to 4.4) and the law of deciding: N commands in one
//! batch come to the same as the N commands one after another.
//!
//! `law` and `rules` try random histories, `stories` tells the corner cases. Both speak the language of
//! `step`, so that what a failed property shrinks to can be told as a story.

mod history;
mod law;
mod names;
mod reference;
mod rules;
mod step;
mod store;
mod stories;
