//! What can be typed about what is published and kept: upload it, put it on record, look after it, take it off.

use std::path::PathBuf;

use clap::Args;

use crate::cli::typed::options::{Asking, EngineArgs, name};
use crate::content::SafeName;
use crate::content::code::Shape;

#[derive(Debug, Args)]
#[command(mut_arg("wait", |wait| wait.default_value("30s")))]
pub(crate) struct UploadArgs {
    /// The file or folder to upload
    pub(crate) path: PathBuf,
    /// The name to publish it under [default: its own]
    #[arg(long = "as", value_name = "NAME", value_parser = name)]
    pub(crate) called: Option<SafeName>,
    /// How many stores keep each part of it: all but one of them may be lost
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) copies: u8,
    /// Keep it not as copies but as K + M shards on as many stores, of which any K suffice: 4+2 costs 1.5 times its
    /// size, and two stores may be lost; what is too small for that, or a folder of small files, is kept as M + 1 copies
    #[arg(long, value_name = "K+M", conflicts_with = "copies")]
    pub(crate) code: Option<Shape>,
    /// Fewer copies will do for now, where there are too few stores
    #[arg(long)]
    pub(crate) allow_degraded: bool,
    #[command(flatten)]
    pub(crate) asking: Asking,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Debug, Args)]
#[command(mut_arg("wait", |wait| wait.default_value("30s")))]
pub(crate) struct PublishArgs {
    /// What to publish: a link, a descriptor (NAME.p2p), an id, or a name that somebody shares
    pub(crate) what: String,
    /// The name to publish it under
    #[arg(long = "as", value_name = "NAME", value_parser = name, required = true)]
    pub(crate) called: SafeName,
    /// Only if this is the number of its latest version now; 0: whichever is
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    pub(crate) expect: u32,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
#[command(mut_arg("wait", |wait| wait.default_value("30s")))]
pub(crate) struct PublishedArgs {
    /// What was uploaded
    #[arg(value_name = "NAME")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

/// What is to become of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StoreAction {
    /// Have others keep what STORE holds, so that it can be taken away
    Leave,
    /// Do not take STORE away after all
    Stay,
    /// Do not wait for STORE, which is away, any more
    Forget,
    /// Let stores that are fuller than others pass something on
    Rebalance,
}

#[derive(Debug, Args)]
pub(crate) struct StoresArgs {
    /// What is to become of a store [default: list them]
    pub(crate) action: Option<StoreAction>,
    /// Its name, or the first digits of its id
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Of what was published under this name [default: of everything]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}
