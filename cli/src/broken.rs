//! What is said when an invariant of this program is broken: one sentence with its place, and no stack trace unless asked for.
//!
//! A panic is a bug, never bad input. A region ends at once then (SIGABRT): with a thread gone it would acknowledge what it can no
//! longer do. Any other command ends with code 1.

use std::panic::PanicHookInfo;

/// What a broken invariant does to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Ends it at once, without destructors.
    Aborts,
    /// Ends the command.
    Fails,
}

/// From now on a panic is said in one sentence and ends the process.
pub(crate) fn on_panic(broken: Broken) {
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("archipelago: {}", sentence(panic));
        if std::env::var_os("ARCHIPELAGO_BACKTRACE").is_some() {
            eprintln!("{}", std::backtrace::Backtrace::force_capture());
        }
        match broken {
            Broken::Aborts => std::process::abort(),
            Broken::Fails => std::process::exit(1),
        }
    }));
}

/// A panic in one sentence.
pub(crate) fn sentence(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("an invariant is broken");
    let place =
        panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    format!("this is a bug{place}: {said}; please report it (ARCHIPELAGO_BACKTRACE=1 shows the way there)")
}
