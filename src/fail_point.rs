//! Named places where tests stop the process, so that a crash can be tried between any two steps.
//!
//! Only with the feature `failpoints`; nothing is left of it in a release. `FAILPOINTS` in the environment says what
//! happens where, in the words of <https://docs.rs/fail>: `before-commit=2*off->1*return(stop)` goes by twice, and
//! stops the process at the third time, as SIGSTOP does. Whoever waits for that sees it from outside, and sends
//! SIGKILL, or SIGCONT.

/// Reads what is to happen; it stands to the end of the process.
#[cfg(feature = "failpoints")]
pub(crate) fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Nothing is to happen.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn arm() {}

/// Does what is to happen here.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &'static str) {
    fail::eval(name, |action| match action.as_deref() {
        Some("stop") => stop(name),
        other => tracing::error!(name, ?other, "a fail point that cannot be done"),
    });
}

/// Nothing happens here.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reach(_name: &'static str) {}

#[cfg(feature = "failpoints")]
fn stop(name: &'static str) {
    tracing::info!(name, "stopping at a fail point");
    if let Err(error) =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)
    {
        tracing::error!(%error, "cannot stop");
    }
    // The signal is the process's: until another thread has seen it this one would go on, and past the point.
    std::thread::sleep(std::time::Duration::from_millis(300));
}
