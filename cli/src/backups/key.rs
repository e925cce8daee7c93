//! `archipelago admin backup-key`: the key of a placement whose cluster's folder is older than backups.
//!
//! It is a command of its own, and not something that the first backup does: that runs on a region's machine, and a key that is only there is lost with the machine whose data it was to bring back.
//!
//! What must always hold: a key that is there is never written over; the key itself is not printed.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::random;
use crate::write_file::write_secret;
use clap::Args;
use region::read_toml::hex;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  archipelago admin backup-key --cluster demo --placement global

Where the cluster's folder is kept, and once: then copy the file to the machines that make backups, and keep it elsewhere too. Without it
all backups of the placement are noise. `archipelago init` has made one already for folders that it wrote since there are backups.
";

/// Makes the key of a placement's backups.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Key {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The placement, by name
    #[arg(long)]
    placement: String,
}

impl Key {
    /// Writes it, and prints where it lies.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let folder = ClusterFolder::open(&self.cluster)?;
        let path = folder.backup_secret_path(folder.placement(&self.placement)?);
        if path.exists() {
            return Err(Failure::Refused(format!(
                "{} is there already, and stays: no other key opens what it sealed",
                path.display()
            )));
        }
        write_secret(&path, &format!("{}\n", hex(&random::bytes::<32>()?)))?;
        println!("{}", path.display());
        Ok(())
    }
}
