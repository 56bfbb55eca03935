//! What happens to the process itself: signals, a long pause, no descriptors left, a clock that jumps, connects that fail.

mod clock;
mod connects;
mod descriptors;
mod terminate;
mod zombie;
