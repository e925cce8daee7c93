//! A panic in a simulated world is a finding: it is caught, said in one sentence with its place, and belongs to the seed that met it.
//!
//! What must always hold: a panic anywhere else ends the program as it always does; a caught one never ends a soak.

use crate::broken;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// While something is being caught on this thread: what its panic said.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// What that gives, or the panic that it met, in a sentence.
pub(crate) fn caught<T>(does: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(listen);
    SAID.set(Some(String::new()));
    // A world that panicked is gone with its stack; nothing of it is looked at again.
    let done = catch_unwind(AssertUnwindSafe(does));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_| said)
}

/// Puts a hook before the program's own.
fn listen() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_caught =
            SAID.with_borrow_mut(|said| said.as_mut().map(|said| *said = broken::sentence(panic)).is_some());
        if !is_caught {
            before(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_the_next_thing_goes_on() {
        let said = caught(|| -> u32 { panic!("the seventh seal") }).unwrap_err();
        assert!(said.contains("panics.rs:") && said.contains("the seventh seal"), "{said}");
        assert_eq!(caught(|| 7), Ok(7));
    }
}
