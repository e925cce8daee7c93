//! The certificates in use, and the watch over their files: whoever replaces them need not tell the region, nor restart it.
//!
//! ```text
//!   files ──every LOOK_EVERY──▶ same as at the look before, and not judged yet? ──▶ judged ──▶ in use for new connections
//!                                                                                      └──▶ refused: alarm, the ones before stay
//! ```
//! What must always hold:
//! - What is in use was judged whole: authorities, certificate and key that fit together, of this region, good when they were taken.
//! - Files are judged once they have stood still from one look to the next, so one half of a pair is not taken for a mistake while the other is being written.
//! - Connections that stand go on; new ones, dialled and accepted, begin with what is in use then.
//! - A refusal is told until the files are in order again, by log, metric and status.
//!
//! At its start a region takes files that are over, or not good yet, with an alarm: it can serve nobody less by starting, and looks on.

use crate::identity::{BridgeIdentity, CertificateFiles, IdentityRefused, Written};
use crate::limits::LOOK_EVERY;
use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// A region's certificates in use, and where they come from.
#[derive(Debug)]
pub struct Certificates {
    files: CertificateFiles,
    region: String,
    read_at_start: Written,
    current: ArcSwap<BridgeIdentity>,
    refused: ArcSwapOption<IdentityRefused>,
    look: Notify,
}

/// How a region's certificates stand, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatesStanding {
    /// Until when the region's own is good, in seconds since 1970.
    pub region_until_s: i64,
    /// Until when each authority is good, in the file's order. Never empty.
    pub authorities_until_s: Vec<i64>,
    /// Why what lies in the files is not in use, if it is not.
    pub refused: Option<Arc<IdentityRefused>>,
}

/// What the files held at the last look, and what of it was judged.
struct Seen {
    judged: Written,
    last: Written,
}

impl Certificates {
    /// Reads the files for the start of a region.
    ///
    /// # Errors
    /// [`IdentityRefused`] when they are not that region's. That they are over, or not good yet, is told and no reason not to start.
    pub fn read(files: CertificateFiles, region: &str) -> Result<Arc<Self>, IdentityRefused> {
        let read_at_start = files.read();
        let identity = BridgeIdentity::judge(&files, &read_at_start, region, now_s())?;
        let refused = identity.good_at(now_s()).err();
        if let Some(refused) = &refused {
            tracing::error!(code = refused.code(), %refused, "peers and clients will not believe this region's certificate");
        }
        Ok(Arc::new(Self {
            files,
            region: region.to_owned(),
            read_at_start,
            current: ArcSwap::from_pointee(identity),
            refused: ArcSwapOption::from_pointee(refused),
            look: Notify::new(),
        }))
    }

    /// Whether the files would be taken if they were put in place.
    ///
    /// # Errors
    /// [`IdentityRefused`] as a region would say it.
    pub fn would_take(files: &CertificateFiles, region: &str) -> Result<(), IdentityRefused> {
        BridgeIdentity::judge(files, &files.read(), region, now_s())?.good_at(now_s())
    }

    /// How they stand.
    #[must_use]
    pub fn standing(&self) -> CertificatesStanding {
        let current = self.current.load();
        CertificatesStanding {
            region_until_s: current.until_s(),
            authorities_until_s: current.authorities_until_s().collect(),
            refused: self.refused.load_full(),
        }
    }

    /// The region's certificate in use with its key, for the next connection of whoever serves under the region's name.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(self.current.load().certified())
    }

    /// Has the files looked at at once, and judged as they are.
    pub fn look_now(&self) {
        self.look.notify_one();
    }

    pub(crate) fn current(&self) -> Arc<BridgeIdentity> {
        self.current.load_full()
    }

    /// Looks at the files until it is dropped; `take` sets up what begins from now on.
    pub(crate) async fn watch(
        self: Arc<Self>,
        take: impl Fn(&BridgeIdentity) -> Result<(), IdentityRefused>,
    ) {
        let mut seen = Seen { judged: self.read_at_start.clone(), last: self.read_at_start.clone() };
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let at_once = tokio::select! {
                _ = every.tick() => false,
                () = self.look.notified() => true,
            };
            let files = self.files.clone();
            // A read that panicked has said so, and the next look comes.
            let Ok(found) = tokio::task::spawn_blocking(move || files.read()).await else { continue };
            if seen.is_to_judge(found, at_once) || self.has_begun() {
                self.judge(&seen.judged, &take);
            }
        }
    }

    /// Whether what was refused for being not good yet is good by now.
    fn has_begun(&self) -> bool {
        match self.refused.load().as_deref() {
            Some(IdentityRefused::NotNow { from_s, until_s, .. }) => (*from_s..=*until_s).contains(&now_s()),
            Some(_) | None => false,
        }
    }

    fn judge(&self, written: &Written, take: impl Fn(&BridgeIdentity) -> Result<(), IdentityRefused>) {
        let judged = BridgeIdentity::judge(&self.files, written, &self.region, now_s());
        let taken = judged.and_then(|identity| {
            identity.good_at(now_s())?;
            take(&identity)?;
            Ok(identity)
        });
        match taken {
            Ok(identity) => {
                tracing::info!(until_s = identity.until_s(), "the certificates in the files are in use");
                self.current.store(Arc::new(identity));
                self.refused.store(None);
            }
            Err(refused) => {
                tracing::error!(code = refused.code(), %refused, "the certificates in the files are not taken: the ones before stay in use");
                self.refused.store(Some(Arc::new(refused)));
            }
        }
    }
}

impl Seen {
    /// Whether what was found is to be judged: it is not what was judged last, and it has stood still since the last look, or somebody says that it is whole.
    fn is_to_judge(&mut self, found: Written, at_once: bool) -> bool {
        let stood_still = found == self.last;
        let is_new = found != self.judged;
        self.last = found;
        let judge = is_new && (stood_still || at_once);
        if judge {
            self.judged = self.last.clone();
        }
        judge
    }
}

fn now_s() -> i64 {
    // A clock before 1970 is taken for 1970: no certificate is good then.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{CertificateFiles, Seen, Written};

    #[test]
    fn files_are_judged_once_when_they_have_stood_still_or_somebody_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files =
            CertificateFiles { authorities: path("ca.pem"), chain: path("a.pem"), key: path("a.key") };
        let holding = |text: &str| -> Written {
            std::fs::write(&files.chain, text).unwrap();
            files.read()
        };
        let first = holding("first");
        let mut seen = Seen { judged: first.clone(), last: first.clone() };
        assert!(!seen.is_to_judge(first.clone(), false) && !seen.is_to_judge(first.clone(), true));
        // Half written, then whole: neither is judged before it has stood still.
        let (half, whole) = (holding("sec"), holding("second"));
        assert!(!seen.is_to_judge(half, false) && !seen.is_to_judge(whole.clone(), false));
        assert!(seen.is_to_judge(whole.clone(), false), "it stood still");
        assert!(!seen.is_to_judge(whole, false), "it was judged");
        assert!(seen.is_to_judge(first.clone(), true), "somebody says that it is whole");
        assert!(!seen.is_to_judge(first, true));
    }
}
