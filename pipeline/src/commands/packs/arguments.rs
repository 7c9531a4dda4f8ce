//! The arguments of `netcrab packs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `netcrab packs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab packs check                                          every definition, all faults with their lines
  netcrab packs plan crm_friction                              what accuracy to expect, before any data
  netcrab packs org acme --vertical B2B_CRM
  netcrab packs opt-in acme crm --exclude-path /billing
  netcrab packs build crm_friction --tables ./tables --window 2026-10
  netcrab packs build --due --tables ./tables                  every window that is due and not built, as from cron
  netcrab packs watch --tables ./tables                        the same, until Ctrl-C
  netcrab packs show crm_friction; netcrab packs verify; netcrab packs budget")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read definitions, and print every fault with its line.
    Check {
        /// Definition files. Default: those in the folder `packs.definitions`.
        files: Vec<PathBuf>,
    },
    /// Print what accuracy to expect, and how many organisations a cell needs; from the definition alone.
    Plan {
        /// The pack.
        pack: String,
    },
    #[command(flatten)]
    WithDatabase(DatabaseCommand),
}

/// Commands that read or write the operational database.
#[derive(Debug, Subcommand)]
pub(super) enum DatabaseCommand {
    /// List the packs, and the newest version of each.
    List,
    /// Build a window, and write its files. Of a window that is built already, only missing files are written.
    Build {
        /// The pack. With --due: all packs that are due.
        #[arg(required_unless_present = "due")]
        pack: Option<String>,
        /// Folder of the tables of facts, or s3://bucket/prefix.
        #[arg(long, value_name = "DIR")]
        tables: String,
        /// A day of the window, or a month like 2026-10. Default: the last window that is over.
        #[arg(long, value_name = "DAY", conflicts_with = "due")]
        window: Option<String>,
        /// Build every window that is due and not built.
        #[arg(long)]
        due: bool,
    },
    /// Build packs when they are due: daily ones at 02:00 UTC, others at 03:00 after their window. Windows that were
    /// missed are built first.
    Watch {
        /// Folder of the tables of facts, or s3://bucket/prefix.
        #[arg(long, value_name = "DIR")]
        tables: String,
        /// Seconds between two checks for due windows; an opt-in or a new definition counts from the next check on.
        #[arg(long, default_value_t = 60)]
        every_s: u64,
    },
    /// Show a version: its rows, its window, the privacy it spent.
    Show {
        /// The pack.
        pack: String,
        /// The version. Default: the newest.
        #[arg(long)]
        version: Option<String>,
    },
    /// Print what differs between two versions.
    Diff {
        /// The pack.
        pack: String,
        /// The first version.
        first: String,
        /// The second.
        second: String,
    },
    /// Compare released files with the database.
    Verify {
        /// The pack. Default: all packs.
        pack: Option<String>,
    },
    /// Print how much of each period's privacy budget is spent.
    Budget {
        /// The pack. Default: all packs.
        pack: Option<String>,
    },
    /// Mark a version as active, deprecated or revoked.
    Mark {
        /// The pack.
        pack: String,
        /// The version.
        version: String,
        /// active, deprecated or revoked.
        status: String,
    },
    /// List the organisations, their verticals and what they opted in to.
    Orgs,
    /// Set the vertical of an organisation.
    Org {
        /// The organisation.
        org: String,
        /// Its vertical.
        #[arg(long)]
        vertical: String,
    },
    /// Let an organisation contribute to a category of packs, from the next build on.
    OptIn {
        /// The organisation.
        org: String,
        /// The category.
        category: String,
        /// Contribute with this product only.
        #[arg(long)]
        product: Option<String>,
        /// Exclude sessions with a route that begins with PATH; may be given several times.
        #[arg(long = "exclude-path", value_name = "PATH")]
        exclude_paths: Vec<String>,
        /// Exclude sessions of this segment; may be given several times.
        #[arg(long = "exclude-segment", value_name = "SEGMENT")]
        exclude_segments: Vec<String>,
    },
    /// End an organisation's contribution to a category, from the next build on.
    OptOut {
        /// The organisation.
        org: String,
        /// The category.
        category: String,
        /// The product that was opted in.
        #[arg(long)]
        product: Option<String>,
    },
}
