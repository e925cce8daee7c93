//! What is said when an invariant of this program is broken: one sentence with its place, and no stack trace unless asked for.
//!
//! A panic is a bug, never bad input. A region ends at once then (SIGABRT): with a thread gone it would acknowledge what it can no
//! longer do. Any other command ends with code 1. The one exception is a reader who went away, as `head` does: the standard library panics then, and the
//! command ends quietly, with the code that a shell gives to what ended by SIGPIPE. (The signal itself stays ignored: a region must outlive its readers.)

use std::panic::PanicHookInfo;

/// What a broken invariant does to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Ends it at once, without destructors.
    Aborts,
    /// Ends the command.
    Fails,
}

const ENDED_BY_SIGPIPE: i32 = 128 + 13;

/// From now on a panic is said in one sentence and ends the process.
pub(crate) fn on_panic(broken: Broken) {
    std::panic::set_hook(Box::new(move |panic| {
        if broken == Broken::Fails && nobody_reads(panic) {
            std::process::exit(ENDED_BY_SIGPIPE);
        }
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

fn nobody_reads(panic: &PanicHookInfo<'_>) -> bool {
    let said = panic.payload_as_str().unwrap_or_default();
    said.starts_with("failed printing to stdout") && said.contains("Broken pipe")
}

/// A panic in one sentence.
pub(crate) fn sentence(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("an invariant is broken");
    let place =
        panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    format!("this is a bug{place}: {said}; please report it (ARCHIPELAGO_BACKTRACE=1 shows the way there)")
}
