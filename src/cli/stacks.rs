//! Gives every thread a stack that hostile messages cannot overflow.
//!
//! The AMQP client reads a message's headers with a function that calls itself for each level of nesting, on a
//! thread that it makes itself. A stack that overflows aborts the process, and the message would come again to
//! the next replica. One frame (128 KiB) has room for about 18,000 levels.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::Failure;

/// What the standard library reads for threads that are made without a size, see
/// <https://doc.rust-lang.org/std/thread/index.html#stack-size>. It reads it once, so it must be there when the
/// process starts.
const VARIABLE: &str = "RUST_MIN_STACK";

/// Bytes of address space a thread; memory is used only as far as a stack really grows.
const STACK_BYTES: usize = 512 << 20;

/// Starts this program again, in the same process, with large stacks; returns where they are large already.
pub(super) fn ensure_large() -> Result<(), Failure> {
    let current = std::env::var(VARIABLE).ok().and_then(|bytes| bytes.parse::<usize>().ok());
    if current.is_some_and(|bytes| bytes >= STACK_BYTES) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(Failure::system)?;
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(Failure::system(again.args(arguments).env(VARIABLE, STACK_BYTES.to_string()).exec()))
}
