//! `archipelago admin`: what operators do with the cluster's keys, tokens, epochs (`epoch/`) and certificates (`certificates.rs`), with a token that these make in a region (`operate.rs`), with the disk of a region
//! that does not run (`at_rest.rs`, `restore.rs`, `remove_store.rs`, `residency/`), and with backups (`backups/`).
//!
//! What must always hold: a token names a placement that exists, is good for at most 30 days, and what a command prints is the only thing on stdout.

use crate::at_rest;
use crate::backups;
use crate::certificates;
use crate::cluster_folder::ClusterFolder;
use crate::epoch::{EndRegion, Epoch};
use crate::failure::Failure;
use crate::join::Join;
use crate::operate;
use crate::remove_store::RemoveStore;
use crate::residency;
use crate::restore::Restore;
use crate::salvage::Salvage;
use crate::token;
use clap::{Args, Subcommand};
use crdt::{DeviceId, UserId};
use std::path::PathBuf;

/// What operators do.
#[derive(Debug, Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  archipelago admin token --cluster demo --user u0001000000000001 --device d0000000000000001
  archipelago admin operator-token --cluster demo --days 1
  archipelago admin operator-token --cluster demo --role viewer --name dashboard --days 30
  archipelago admin user u0001000000000001 --cluster demo --region us-east --home us-east
  archipelago admin end-region ap-south --cluster demo
  archipelago admin features --cluster demo --region us-east --placement global --set posts=off
  archipelago admin verify --cluster demo --region ap-south --data data/ap-south
  archipelago admin restore --cluster demo --region ap-south --data data/ap-south
  archipelago admin join --cluster demo --region ap-south --data data/ap-south
  archipelago admin residency --cluster demo --region ap-south --data data/ap-south
  archipelago admin renew-certificates --cluster demo
  archipelago admin backup --cluster demo --region ap-south --data data/ap-south
  archipelago admin verify-backup --cluster demo --placement global
";

#[derive(Debug, Subcommand)]
#[command(before_help = EXAMPLES)]
enum Verb {
    /// Make the token that a user's device signs in with
    Token {
        /// The cluster's folder or file
        #[arg(long)]
        cluster: PathBuf,
        /// The user, such as u0001000000000001: the first four digits are the placement they are pinned to
        #[arg(long)]
        user: UserId,
        /// The device, such as d0000000000000001
        #[arg(long)]
        device: DeviceId,
        /// For how many days it is good
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=30))]
        days: u32,
    },
    /// Show which regions are active in a placement, or say which are to be from now on
    Epoch(Epoch),
    /// End a region that is lost or given up: close it in all its placements, and let another take its rights and its users over
    EndRegion(EndRegion),
    /// Make the token that opens the regions' admin addresses
    OperatorToken {
        /// The cluster's folder or file
        #[arg(long)]
        cluster: PathBuf,
        /// What it lets its bearer do
        #[arg(long, value_enum, default_value_t = token::Role::Operator)]
        role: token::Role,
        /// Under which name that is recorded; without it, your name on this machine
        #[arg(long)]
        name: Option<String>,
        /// For how many days it is good
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=30))]
        days: u32,
    },
    /// Show where a user's home is, give them one, or mark them as erased
    User(operate::User),
    /// Show what of a placement's features is turned off or limited, or change what a region says of them
    Features(operate::Features),
    /// Read everything that a stopped region holds, and name what is damaged
    Verify(at_rest::Verify),
    /// Make again what of a stopped region's tables is damaged and follows from its log, or show what would be
    Repair(at_rest::Repair),
    /// Make copies of a region's stores the stores of its next incarnation, which an epoch has admitted
    Restore(Restore),
    /// Begin the stores of a region that was admitted with snapshots of other regions' stores
    Join(Join),
    /// Bring back what only the disk of a closed region holds, by way of a region that runs
    Salvage(Salvage),
    /// Remove the store of a placement that a region has left, once all that it holds is everywhere
    RemoveStore(RemoveStore),
    /// Count what lies on a stopped region's disk and whom it is about, and name what must not lie there
    Residency(residency::Residency),
    /// Lay the statements of all regions side by side, for an auditor
    ResidencyReport(residency::Report),
    /// Make a backup of a region's placements in S3, whether the region runs or not, and remove those that are too old
    Backup(backups::Make),
    /// List the backups of a placement
    Backups(backups::List),
    /// Read a backup back, and everything that the store in it holds, and name what is damaged
    VerifyBackup(backups::Verify),
    /// Fetch the files of a backup into a new folder
    FetchBackup(backups::Fetch),
    /// Make new certificates for regions, signed by the cluster's newest authority
    RenewCertificates(certificates::RenewCertificates),
    /// Make a new authority of the regions' certificates beside the old one, and let both be trusted
    RenewAuthority(certificates::RenewAuthority),
    /// Trust the newest authority alone, once all regions have certificates of it
    RetireAuthority(certificates::RetireAuthority),
    /// Make the key of a placement's backups, if the cluster's folder has none
    BackupKey(backups::Key),
}

impl Admin {
    /// Does it, and prints the token, or what the region says.
    ///
    /// # Errors
    /// When the cluster or a key of it cannot be read, or the user's placement does not exist; when a region does not answer, or refuses; when an epoch is not followed.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let token = match &self.verb {
            Verb::Epoch(epoch) => return epoch.run(),
            Verb::EndRegion(end) => return end.run(),
            Verb::Token { cluster, user, device, days } => {
                let folder = ClusterFolder::open(cluster)?;
                let placements = &folder.cluster.placements;
                if !placements.contains_key(&user.placement()) {
                    return Err(Failure::Unknown {
                        kind: "placement",
                        name: user.placement().to_string(),
                        known: placements.values().map(|p| format!("{} ({})", p.id, p.name)).collect(),
                    });
                }
                token::for_device(&folder, *user, *device, *days)?
            }
            Verb::OperatorToken { cluster, role, name, days } => {
                let name = name.clone().unwrap_or_else(token::name_of_user);
                token::for_role(&ClusterFolder::open(cluster)?, *role, name, *days)?
            }
            Verb::User(user) => return user.run(),
            Verb::Features(features) => return features.run(),
            Verb::Verify(verify) => return verify.run(),
            Verb::Repair(repair) => return repair.run(),
            Verb::Restore(restore) => return restore.run(),
            Verb::Join(join) => return join.run(),
            Verb::Salvage(salvage) => return salvage.run(),
            Verb::RemoveStore(remove) => return remove.run(),
            Verb::Residency(residency) => return residency.run(),
            Verb::ResidencyReport(report) => return report.run(),
            Verb::Backup(make) => return make.run(),
            Verb::Backups(list) => return list.run(),
            Verb::VerifyBackup(verify) => return verify.run(),
            Verb::FetchBackup(fetch) => return fetch.run(),
            Verb::RenewCertificates(renew) => return renew.run(),
            Verb::RenewAuthority(renew) => return renew.run(),
            Verb::RetireAuthority(retire) => return retire.run(),
            Verb::BackupKey(key) => return key.run(),
        };
        println!("{token}");
        Ok(())
    }
}
