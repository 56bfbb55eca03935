//! Messages that no decent sender would send: each is dealt with, and its neighbours do not feel it.

mod bombs;
mod envelopes;
mod flood;
mod forgotten;
mod unreadable;
