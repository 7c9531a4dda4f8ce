//! `netcrab completions`: the script that lets a shell complete commands and options.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

/// Arguments of `netcrab completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netcrab completions bash > ~/.local/share/bash-completion/completions/netcrab
  netcrab completions zsh > ~/.zfunc/_netcrab          with `fpath+=~/.zfunc; autoload -U compinit; compinit` in ~/.zshrc
  netcrab completions fish > ~/.config/fish/completions/netcrab.fish
  netcrab completions powershell >> $PROFILE
  netcrab completions elvish >> ~/.config/elvish/rc.elv

Create the folder first where it is missing (mkdir -p). Open a new shell afterwards.")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(mut command: clap::Command, arguments: &Arguments) -> Result<ExitCode> {
    // Printed as a whole: the crate panics where nobody reads on.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "netcrab", &mut script);
    print!("{}", String::from_utf8(script)?);
    Ok(ExitCode::SUCCESS)
}
