//! `install`, `uninstall`, `doctor`.

use std::process::ExitCode;

use super::{InstallArgs, PlaceArgs, UninstallArgs};
use crate::doctor;
use crate::install::{self, InstallOptions, Place};

pub(super) fn install(args: InstallArgs) -> anyhow::Result<ExitCode> {
    let options = InstallOptions::new(place(args.place))
        .with_source(args.source)
        .with_lab(args.lab)
        .with_features(args.features);
    install::install(&options, &mut |step| eprintln!("{step}"))?;
    eprintln!("Done. Open JupyterLab and choose \"{}\".", install::DISPLAY_NAME);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn uninstall(args: UninstallArgs) -> anyhow::Result<ExitCode> {
    let removed = install::uninstall(&place(args.place), args.all)?;
    if removed.is_empty() {
        eprintln!("There was nothing to remove.");
    }
    for folder in removed {
        eprintln!("Removed {}", folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn doctor() -> ExitCode {
    let report = doctor::examine();
    println!("{report}");
    if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn place(args: PlaceArgs) -> Place {
    match args {
        PlaceArgs { prefix: Some(prefix), .. } => Place::Prefix(prefix),
        PlaceArgs { sys_prefix: true, .. } => Place::SysPrefix,
        PlaceArgs { .. } => Place::User,
    }
}
